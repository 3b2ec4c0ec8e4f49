//! Outreach: those who gave an address of their own are written to first.

use std::sync::Arc;

use sotto_client::{Client, Event, Inbox, InboxLink, InboxOptions, Invitation, JoinOptions};
use sotto_tests::world::{Network, Person};

use super::{Phone, Town};

/// Somebody who gave the outreach team an address, once, at a meeting.
async fn opts_in(town: &Town, phone: &Phone) -> (Client, Inbox, InboxLink) {
    let network = Network::to(&town.world.relay);
    let options = phone.options().dialer(Arc::new(network));
    let client = Client::open(options).await.unwrap();
    let options = InboxOptions {
        suite: town.world.suite,
        ..InboxOptions::new(town.world.address())
    };
    let inbox = client.open_inbox(options).await.unwrap();
    inbox.ready().await.unwrap();
    let link = inbox.link().await.unwrap().unwrap();
    (client, inbox, link)
}

async fn is_invited(inbox: &Inbox) -> Invitation {
    loop {
        if let Event::Invited(invitation) = inbox.next_event().await.unwrap() {
            return invitation;
        }
    }
}

/// A peer writes first, to one of the list, and says nothing yet.
async fn reaches_out(town: &Town, to: &InboxLink) -> Person {
    let room = town.world.room("Ben, a peer");
    let ben = town.world.founder_of(room, town.phone().options()).await;
    ben.conversation.add(to).await.unwrap();
    ben
}

#[tokio::test(start_paused = true)]
async fn outreach_to_veterans_at_risk() {
    let town = Town::start().await;
    let phones: [Phone; 4] = core::array::from_fn(|_| town.phone());
    let (vera, vera_inbox, to_vera) = opts_in(&town, &phones[0]).await;
    let (walt, walt_inbox, to_walt) = opts_in(&town, &phones[1]).await;
    let (yara, yara_inbox, to_yara) = opts_in(&town, &phones[2]).await;
    let (xavier, _, to_xavier) = opts_in(&town, &phones[3]).await;
    xavier.close().await;

    // The first contact is that there is one: no words, no room on the phone, nothing to answer.
    let ben = reaches_out(&town, &to_vera).await;
    let invitation = is_invited(&vera_inbox).await;
    assert!(vera.conversations().is_empty());
    let options = JoinOptions {
        name: "Vera".into(),
    };
    let accepted = vera.accept(&vera_inbox, invitation.id, &options).await;
    let accepted = accepted.unwrap();
    ben.says("Thank you for letting me write.").await;
    let first = loop {
        if let Event::Message(message) = accepted.next_event().await.unwrap() {
            break message.text;
        }
    };
    assert_eq!(first, "Thank you for letting me write.");

    // Who ignores it is left alone.
    let to_walts = reaches_out(&town, &to_walt).await;
    is_invited(&walt_inbox).await;
    town.minutes(6 * 60).await;
    assert_eq!(walt_inbox.invitations().await.unwrap().len(), 1);
    assert!(walt.conversations().is_empty());
    let others = to_walts.conversation.members().await.unwrap();
    let other = others.iter().find(|one| !one.is_me).unwrap();
    assert_eq!(other.name, None);

    // Stop is final: the address leads nowhere any more, and whoever uses it again is told.
    let _ben = reaches_out(&town, &to_yara).await;
    is_invited(&yara_inbox).await;
    yara_inbox.give_up().await.unwrap();
    while yara_inbox.next_event().await.is_some() {}
    let again = reaches_out(&town, &to_yara).await;
    let is_stopped = |event: &Event| (*event == Event::NotAdded).then_some(());
    again.until("that it is stopped", is_stopped).await;

    // An invitation that nobody saw in a month is none any more.
    let late = reaches_out(&town, &to_xavier).await;
    let added = |event: &Event| matches!(event, Event::Joined { .. }).then_some(());
    late.until("an invitation on its way", added).await;
    for client in [&ben.client, &to_walts.client, &again.client, &late.client] {
        client.close().await;
    }
    for client in [vera, walt, yara] {
        client.close().await;
    }
    town.days(32).await;
    let network = Network::to(&town.world.relay);
    let options = phones[3].options().dialer(Arc::new(network));
    let xavier = Client::open(options).await.unwrap();
    let inbox = xavier.inboxes().pop().unwrap();
    inbox.ready().await.unwrap();
    town.minutes(5).await;
    assert_eq!(inbox.invitations().await.unwrap(), []);
}
