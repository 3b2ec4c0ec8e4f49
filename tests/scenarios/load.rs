//! As many chats at a time as the desk lets one supporter have.

use sotto_client::Standing;
use sotto_client::error::ErrorKind;
use sotto_tests::world::World;
use tokio::join;

use crate::desk::{office, seeker, sees_words, takes};

/// Two terminals, or a finger that taps twice.
#[tokio::test(start_paused = true)]
async fn of_two_tickets_taken_at_the_same_moment_one_is_refused_where_one_more_chat_is_allowed() {
    let world = World::start().await;
    let ann = office(&world).await;
    let mut seekers = Vec::new();
    for words in ["one", "two", "three"] {
        seekers.push(seeker(&world, &ann, words).await);
    }
    let chat = takes(&ann, sees_words(&ann, "one").await.id).await;
    chat.until_standing(Standing::In).await;
    let [two, three] = [
        sees_words(&ann, "two").await,
        sees_words(&ann, "three").await,
    ];
    let team = &ann.conversation;
    let (two, three) = join!(
        ann.client.take(team, two.id, "Ann"),
        ann.client.take(team, three.id, "Ann")
    );
    let taken = [&two, &three].into_iter().filter(|one| one.is_ok()).count();
    assert_eq!(taken, 1, "the desk allows two chats");
    let refused = two.and(three).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
}
