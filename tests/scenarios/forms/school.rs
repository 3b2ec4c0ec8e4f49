//! School: somebody to talk to in the break, and a mentor for a term.

use sotto_client::error::ErrorKind;
use sotto_client::{AskOptions, Choice, DeskPlan, DeskState, End, Event, Standing, Ticket};

use super::{Town, answers, elsewhere, hears_until, kept, leaf_of, saying};
use crate::desk::{ends_as, has_asked, is_at, place, plan, sees_words};
use crate::exit::hears_away;

#[tokio::test(start_paused = true)]
async fn peer_listening_at_school() {
    let town = Town::start().await;
    let (mias, sams) = (town.phone(), town.phone());
    let next_break = town.hours(&[1], "13:25-13:45").openings()[0];
    let plan = DeskPlan {
        name: "Break".into(),
        hours: town.hours(&[0], "12:55-13:15").also(next_break).unwrap(),
        chats_each: 1,
        ..plan()
    };
    let mia = town.desk(&mias, plan).await;
    town.minutes(58).await;
    let first = town.asks(&town.phone(), &mia, saying("first")).await;
    // Nobody is asked for a name, a topic or a word.
    let sam = town.asks(&sams, &mia, Ticket::default()).await;
    is_at(&sam, place(1)).await;
    let address = mia.conversation.desk_address().await.unwrap().unwrap();
    let visit = sam.client.visit(&address).await.unwrap();
    let (card, now_ms) = (visit.card(), town.now_ms());
    assert_eq!(card.says(card.state(now_ms), now_ms), "ends at 13:15 (UTC)");
    let chat = answers(&mia, "Mia", &first, "first").await;
    is_at(&sam, place(0)).await;

    // The bell: who waits is told and keeps no place, who talks may finish.
    town.minutes(20).await;
    let told = ends_as(&sam.conversation, Standing::Left).await;
    let told = told.iter().filter(|event| **event == Event::DeskClosed);
    assert_eq!(told.count(), 1);
    chat.says("Go on, I have a minute.").await;
    hears_until(&first, "Go on, I have a minute.").await;
    let state = card.state(town.now_ms());
    assert!(matches!(state, DeskState::Closed { opens_ms: Some(_) }));
    assert!(state.choices().contains(&Choice::Letter));
    assert!(!state.choices().contains(&Choice::Ask));
    let letter = AskOptions {
        ticket: saying("They wait for me at the gate."),
        ..AskOptions::default()
    };
    let letter = sam.client.leave_letter(&visit, letter).await.unwrap();
    let sam = elsewhere(&sam, letter);
    has_asked(&sam).await;
    for client in [&sam.client, &first.client, &mia.client] {
        client.close().await;
    }

    // The next break.
    town.days(1).await;
    town.minutes(10).await;
    let mia = town.opens_team(&mias).await;
    mia.conversation.duty(true).await.unwrap();
    let letter = sees_words(&mia, "They wait for me at the gate.").await;
    assert!(letter.id.is_letter);
    let team = &mia.conversation;
    let chat = mia.client.take(team, letter.id, "Mia").await.unwrap();
    let chat = elsewhere(&mia, chat);
    chat.until_standing(Standing::In).await;
    chat.says("I read it. Shall we go out together?").await;
    let sam = town.opens(&sams).await;
    hears_until(&sam, "I read it. Shall we go out together?").await;
    assert!(
        kept(&sam)
            .await
            .contains(&"They wait for me at the gate.".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn peer_mentoring() {
    /// Every second week of a term.
    const MEETINGS: u32 = 6;
    let town = Town::start().await;
    let (mias, berts) = (town.phone(), town.phone());
    // Ali has no phone: each time it is another empty computer of the library.
    let library = || town.phone();
    let (mia, ali) = town.two((&mias, "Mia"), (&library(), "Ali")).await;
    let (mia_too, bert) = town.two_more((&mia, "Mia"), (&berts, "Bert")).await;
    let (mentor, mentee) = (leaf_of(&ali, "Mia").await, leaf_of(&ali, "Ali").await);
    bert.says("Where is the gym?").await;
    hears_until(&mia_too, "Where is the gym?").await;
    // The term is agreed on at its beginning: two weeks after the last meeting the room closes.
    let weeks = u64::from(2 * (MEETINGS + 1));
    let close = End::CloseAt(town.now_ms() / 60_000 + weeks * 7 * 24 * 60);
    mia.conversation.set_end(close).await.unwrap();
    let agreed = |event: &Event| matches!(event, Event::ClosesAt { .. }).then_some(());
    ali.until("a date", agreed).await;
    let words = town.words_of(&ali).await;
    for client in [&ali.client, &mia.client, &bert.client] {
        client.close().await;
    }
    for meeting in 1..=MEETINGS {
        town.days(14).await;
        let mia = town.opens_with(&mias, "Ali").await;
        if meeting == MEETINGS {
            let soon = |event: &Event| match event {
                Event::ClosesSoon { minutes } => Some(minutes.div_ceil(24 * 60)),
                _ => None,
            };
            assert_eq!(mia.until("two weeks", soon).await, 14);
        }
        let ali = town.comes_back(&library(), &words).await;
        let (asked, answer) = (format!("Number {meeting}"), format!("How was {meeting}?"));
        ali.says(&asked).await;
        assert_eq!(hears_until(&mia, &asked).await, [""; 0]);
        mia.says(&answer).await;
        hears_until(&ali, &answer).await;
        // The same mentor and the same mentee, and a computer that knows of no other time.
        assert_eq!(leaf_of(&ali, "Mia").await, mentor);
        assert_eq!(leaf_of(&mia, "Ali").await, mentee);
        assert_eq!(kept(&ali).await, [asked, answer]);
        ali.client.backed_up().await.unwrap();
        ali.client.quick_exit().await.unwrap();
        hears_away(&mia).await;
        mia.client.close().await;
    }
    town.days(13).await;
    let mia = town.opens_with(&mias, "Ali").await;
    let ali = town.comes_back(&library(), &words).await;
    ali.says("Thank you for the term.").await;
    hears_until(&mia, "Thank you for the term.").await;
    let ending = ali.conversation.ending().await.unwrap();
    assert!(ending.is_some_and(|ending| ending.closes && ending.minutes_left > 0));
    // The term is over: the room closes by itself. It can be read, and to go needs no reason, and takes
    // nothing from the other mentee.
    town.days(1).await;
    let closed = |event: &Event| (*event == Event::Closed).then_some(());
    for person in [&mia, &ali] {
        person.until("the end of the term", closed).await;
        let refused = person.conversation.send("One more thing.").await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotAllowed);
    }
    assert_eq!(kept(&ali).await, ["Thank you for the term."]);
    ali.conversation.leave().await.unwrap();
    ali.until_standing(Standing::Left).await;
    let gone = |event: &Event| matches!(event, Event::Left { .. }).then_some(());
    mia.until("a leave", gone).await;
    mia.client.close().await;
    let mia = town.opens_with(&mias, "Bert").await;
    let bert = town.opens(&berts).await;
    bert.says("I found the gym.").await;
    hears_until(&mia, "I found the gym.").await;
}
