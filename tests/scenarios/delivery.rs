//! Nothing is lost, doubled or out of order.

use sotto_client::Suite;
use sotto_tests::world::World;

#[tokio::test(start_paused = true)]
async fn two_people_talk_in_both_suites() {
    for suite in [Suite::Classic, Suite::Hybrid] {
        let world = World {
            suite,
            ..World::start().await
        };
        let ann = world.founder("Ann").await;
        let ben = world.joiner("Ben", &ann.link().await).await;
        ann.says("hello").await;
        assert_eq!(ben.hears_texts(1).await, ["hello"]);
        ben.says("hi").await;
        assert_eq!(ann.hears_texts(2).await, ["hello", "hi"]);
        assert_eq!(ann.names().await, ["Ann", "Ben"]);
        assert_eq!(ben.names().await, ["Ann", "Ben"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_without_a_line_arrives_in_order_and_once() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    ann.network.cut();
    let said: Vec<_> = (0..100).map(|n| format!("message {n}")).collect();
    for text in &said {
        ann.says(text).await;
    }
    ann.network.mend(&world.relay);
    assert_eq!(ben.hears_texts(100).await, said);
    assert_eq!(ann.hears_texts(100).await, said);
}

#[tokio::test(start_paused = true)]
async fn a_text_of_every_kind_arrives_unaltered() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    let mut texts = vec![
        String::new(),
        "💛👩‍👩‍👧 ok".to_owned(),
        "שלום עולם مرحبا".to_owned(),
        "x".repeat(sotto_client::TEXT_BYTES_MAX),
    ];
    for class in sotto_protocol::size_class::SizeClass::ALL {
        texts.extend(
            [class.bytes() - 1, class.bytes(), class.bytes() + 1].map(|length| "y".repeat(length)),
        );
    }
    for text in &texts {
        ann.says(text).await;
    }
    assert!(
        ann.conversation
            .send(&"z".repeat(sotto_client::TEXT_BYTES_MAX + 1))
            .await
            .is_err()
    );
    for text in &texts {
        assert_eq!(ben.hears().await.text, *text);
    }
}
