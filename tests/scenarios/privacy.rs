//! What those in between can learn.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sotto_client::{ClientOptions, Standing};
use sotto_tests::world::World;

/// The bytes of a field of 32 bytes in a link.
fn field(link: &str, name: &str) -> Vec<u8> {
    let body = link.strip_prefix("sotto:1:").unwrap();
    let body = URL_SAFE_NO_PAD.decode(body).unwrap();
    let text = u8::try_from(name.len()).unwrap() | 0x60;
    let key = [&[text], name.as_bytes(), &[0x58, 0x20]].concat();
    let found = body.windows(key.len()).position(|window| window == key);
    let at = found.unwrap() + key.len();
    body[at..at + 32].to_vec()
}

fn holds(messages: &[Vec<u8>], wanted: &[u8]) -> bool {
    messages
        .iter()
        .any(|message| message.windows(wanted.len()).any(|window| window == wanted))
}

#[tokio::test(start_paused = true)]
async fn who_terminates_tls_sees_no_log_id_no_key_and_no_request() {
    let world = World::start().await;
    let ann = world.founder("Wilhelmina").await;
    let link = ann.link().await;
    let (client, network) = world.device_with(ClientOptions::memory()).await;
    network.listen_in();
    let options = sotto_client::JoinOptions {
        name: "Bartholomew".into(),
    };
    let ben = sotto_tests::world::Person {
        conversation: client.join(&link, &options).await.unwrap(),
        client,
        network,
    };
    ben.until_standing(Standing::In).await;
    ben.says("from Ben").await;
    assert_eq!(ann.hears_texts(1).await, ["from Ben"]);
    ann.says("from Ann").await;
    assert_eq!(ben.hears_texts(2).await, ["from Ben", "from Ann"]);

    let overheard = ben.network.overheard();
    assert!(overheard.len() > 10, "only {} messages", overheard.len());
    // Pushes are outside of the channel, so that all followers get the same bytes: what stands in
    // them is sealed, and shows that the search sees what there is to see.
    assert!(holds(&overheard, b"sealed") && holds(&overheard, b"commitment"));
    let link = link.to_string();
    for secret in ["log", "secret", "founder"] {
        assert!(!holds(&overheard, &field(&link, secret)), "{secret}");
    }
    for request in ["proofs", "retry", "admit", "append", "follow", "credit"] {
        assert!(!holds(&overheard, request.as_bytes()), "{request}");
    }
    for word in ["from Ben", "from Ann", "Wilhelmina", "Bartholomew"] {
        assert!(!holds(&overheard, word.as_bytes()), "{word}");
    }
}
