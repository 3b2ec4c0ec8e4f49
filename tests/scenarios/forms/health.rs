//! Illness and disability.

use sotto_client::Standing;

use super::{Town, answers, hears_until, kept, saying};
use crate::desk::{is_at, place, plan};

#[tokio::test(start_paused = true)]
async fn traumatic_brain_injury() {
    let town = Town::start().await;
    let lous = town.phone();
    let ann = town.desk(&town.phone(), plan()).await;
    let before = town.asks(&town.phone(), &ann, saying("before")).await;
    let between = town.asks(&town.phone(), &ann, saying("between")).await;
    let lou = town.asks(&lous, &ann, saying("I lose the thread.")).await;
    is_at(&lou, place(2)).await;

    // Twenty minutes' pause in the queue, the app closed; meanwhile it goes on.
    lou.client.close().await;
    town.minutes(10).await;
    answers(&ann, "Ann", &before, "before").await;
    town.minutes(10).await;
    let lou = town.opens(&lous).await;
    is_at(&lou, place(1)).await;
    between.conversation.leave().await.unwrap();
    between.until_standing(Standing::Left).await;
    is_at(&lou, place(0)).await;

    // Answered, and twenty minutes' pause in the chat.
    let chat = answers(&ann, "Ann", &lou, "I lose the thread.").await;
    chat.says("I am Ann. Take your time.").await;
    hears_until(&lou, "I am Ann. Take your time.").await;
    lou.client.close().await;
    town.minutes(10).await;
    chat.says("We said: you call the ward on Monday.").await;
    town.minutes(10).await;
    let lou = town.opens(&lous).await;
    assert_eq!(
        lou.hears().await.text,
        "We said: you call the ward on Monday."
    );
    // Who is this, and what did we agree: all of it is there to read again, once.
    assert_eq!(lou.names().await, ["Ann", "Guest"]);
    assert_eq!(
        kept(&lou).await,
        [
            "I lose the thread.",
            "I am Ann. Take your time.",
            "We said: you call the ward on Monday.",
        ]
    );
    // The other side was not told that anybody had gone, nor was the chat ended for it.
    lou.says("Monday. I wrote it down.").await;
    hears_until(&chat, "Monday. I wrote it down.").await;
    assert_eq!(chat.conversation.members().await.unwrap().len(), 2);
}
