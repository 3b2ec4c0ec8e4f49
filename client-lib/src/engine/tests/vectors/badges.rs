//! Badges and what is said of them.

use super::samples::{Sample, log, other, sample};
use crate::content::ContentBody;
use crate::desk::badge_samples as made;
use crate::desk::{BadgeBatch, BadgeRequests, OrganisationKey, RevokedList};
use sotto_protocol::cbor;

const FILE: &str = "badge.json";

pub(super) fn badges() -> Vec<Sample> {
    vec![
        Sample {
            file: FILE,
            name: "badge, said".into(),
            rule: "BadgeBody",
            bytes: made::said(),
            takes: made::takes_said,
            text: None,
        },
        Sample {
            text: Some(made::requests().to_string()),
            ..sample(
                FILE,
                "BadgeRequests",
                "badges, asked",
                &made::requests(),
                |bytes| cbor::decode::<BadgeRequests>(bytes).is_ok(),
            )
        },
        Sample {
            text: Some(made::batch().to_string()),
            ..sample(
                FILE,
                "BadgeBatch",
                "badges, issued",
                &made::batch(),
                |bytes| cbor::decode::<BadgeBatch>(bytes).is_ok(),
            )
        },
        Sample {
            text: Some(made::list().to_string()),
            ..sample(
                FILE,
                "RevokedList",
                "badges, revoked",
                &made::list(),
                |bytes| cbor::decode::<RevokedList>(bytes).is_ok(),
            )
        },
    ]
}

/// What members say of badges.
pub(super) fn bodies() -> [(&'static str, ContentBody); 2] {
    let shown = made::shown(&log(), &other().id());
    [
        ("badge", ContentBody::Badge(Box::new(shown))),
        (
            "badge_revoked",
            ContentBody::BadgeRevoked(Box::new(made::revocation())),
        ),
    ]
}

/// What stands in the files is signed as the page says.
#[test]
fn badges_of_the_vectors_hold_for_the_organisation_that_signed_them() {
    let organisation = OrganisationKey::from_seed(&made::ORGANISATION).id();
    let shown = made::shown(&log(), &other().id());
    assert!(shown.read(&[organisation], &log(), &other().id()).is_ok());
    assert!(made::revocation().is_signed_by(&organisation));
    let list: RevokedList = made::list().to_string().parse().unwrap();
    assert!(list.is_signed_by(&organisation) && list.count() == 2);
    let requests: BadgeRequests = made::requests().to_string().parse().unwrap();
    let batch: BadgeBatch = made::batch().to_string().parse().unwrap();
    let issued: Vec<_> = batch.issued().map(|one| one.id).collect();
    assert_eq!(issued, requests.keys());
}
