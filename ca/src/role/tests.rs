//! API-04: the table, cell by cell, against what the portal's table of roles says (its own words beside each row).

use std::collections::BTreeSet;

use super::*;
use crate::operation::Business;

/// Which operations each role may do, written down by hand: the table in the code is no witness for itself.
pub(crate) const EXPECTED: &[(&str, &str)] = &[
    // "may do everything in the portal; never touches CA keys": no jobs, no limits, no replay.
    (
        "management-administrator",
        "stateDomain tokenOfDomain proveDomain withdrawDomain listDomains showDomain \
         issueCertificate prepareOrder addOrderEvidence approveOrder takeOrderReceipt issueOrder deliverOrder activateOrder cancelOrder registerCarriers moveCarrier \
         listOrders showOrder listCarriers listCertificates showCertificate revokeCertificate releaseCertificate receiptRevocation listReceipts \
         listReceiptsOfSerial revokeSerial listAuthorities showAuthority listEids searchEids showEid revokeEid lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation \
         revokeCarrier scheduleRevocation cancelScheduledRevocation \
         registerRevocationRequests addOrganisation listOrganisations showOrganisation diagnose changeOrganisation endOrganisation \
         listProtectedPersons setProtection searchReads lookUpInRegister \
         askApproval listApprovals showApproval decideApproval withdrawApproval",
    ),
    // "revoke any card/eID; no issue, no read beyond what revoke needs"; nor an end of holds.
    (
        "global-revoker",
        "revokeCertificate receiptRevocation revokeSerial listEids searchEids showEid revokeEid lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation revokeCarrier scheduleRevocation cancelScheduledRevocation \
         registerRevocationRequests",
    ),
    // "read all".
    (
        "global-reader",
        "listDomains showDomain \
         listOrders showOrder listCarriers listCertificates showCertificate listReceipts listReceiptsOfSerial listAuthorities showAuthority listEids searchEids showEid \
         lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation listOrganisations showOrganisation diagnose \
         listProtectedPersons",
    ),
    // "full within the area".
    (
        "responsible-issuer",
        "stateDomain tokenOfDomain proveDomain withdrawDomain listDomains showDomain \
         issueCertificate prepareOrder addOrderEvidence approveOrder takeOrderReceipt issueOrder deliverOrder activateOrder cancelOrder registerCarriers moveCarrier \
         listOrders showOrder listCarriers listCertificates showCertificate revokeCertificate listAuthorities showAuthority listEids searchEids showEid revokeEid \
         lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation revokeCarrier scheduleRevocation cancelScheduledRevocation \
         registerRevocationRequests addOrganisation listOrganisations showOrganisation diagnose changeOrganisation endOrganisation \
         listProtectedPersons \
         askApproval listApprovals showApproval decideApproval withdrawApproval",
    ),
    (
        "assistant-issuer",
        "listDomains showDomain \
         issueCertificate prepareOrder addOrderEvidence approveOrder takeOrderReceipt issueOrder deliverOrder activateOrder cancelOrder registerCarriers moveCarrier \
         listOrders showOrder listCarriers listCertificates showCertificate revokeCertificate listAuthorities showAuthority listEids searchEids showEid revokeEid \
         lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation revokeCarrier scheduleRevocation cancelScheduledRevocation \
         registerRevocationRequests listOrganisations showOrganisation diagnose \
         listProtectedPersons \
         askApproval listApprovals showApproval decideApproval withdrawApproval",
    ),
    // "order/activate ordinary cards, update, extra eID, revoke".
    (
        "id-administrator",
        "issueCertificate prepareOrder addOrderEvidence approveOrder takeOrderReceipt issueOrder deliverOrder activateOrder cancelOrder registerCarriers moveCarrier \
         listOrders showOrder listCarriers listCertificates showCertificate revokeCertificate listAuthorities showAuthority listEids searchEids showEid revokeEid \
         lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation revokeCarrier scheduleRevocation cancelScheduledRevocation \
         registerRevocationRequests listOrganisations showOrganisation diagnose \
         listProtectedPersons \
         askApproval listApprovals showApproval decideApproval withdrawApproval",
    ),
    // "LoA3 reserve cards; four eyes", "LoA2 reserve cards only".
    (
        "reserve-card-administrator-3",
        "issueCertificate prepareOrder addOrderEvidence approveOrder takeOrderReceipt issueOrder deliverOrder activateOrder cancelOrder registerCarriers moveCarrier \
         listOrders showOrder listCarriers listCertificates showCertificate listAuthorities showAuthority listEids searchEids showEid lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation \
         listOrganisations showOrganisation diagnose \
         askApproval listApprovals showApproval decideApproval withdrawApproval",
    ),
    (
        "reserve-card-administrator-2",
        "issueCertificate prepareOrder addOrderEvidence approveOrder takeOrderReceipt issueOrder deliverOrder activateOrder cancelOrder registerCarriers moveCarrier \
         listOrders showOrder listCarriers listCertificates showCertificate listAuthorities showAuthority listEids searchEids showEid lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation \
         listOrganisations showOrganisation diagnose \
         askApproval listApprovals showApproval decideApproval withdrawApproval",
    ),
    // "revoke only".
    (
        "revoker",
        "revokeCertificate listEids searchEids showEid revokeEid lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation revokeCarrier scheduleRevocation cancelScheduledRevocation \
         registerRevocationRequests",
    ),
    // "read only".
    (
        "reader",
        "listDomains showDomain \
         listOrders showOrder listCarriers listCertificates showCertificate listAuthorities showAuthority listEids searchEids showEid lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation listOrganisations \
         showOrganisation diagnose \
         listProtectedPersons",
    ),
    // "adds protected persons" to another one.
    ("confidentiality", ""),
    // Dual control: whoever approves plans nothing.
    (
        "security-officer",
        "listLimits listAuthorities showAuthority listCrlShards listJobs showJob actOnJob listJobItems listTrialRevocations \
         listApprovals showApproval decideApproval",
    ),
    (
        "system-administrator",
        "listLimits listAuthorities showAuthority listCrlShards listTrialRevocations",
    ),
    (
        "ca-operator",
        "withdrawDomain listDomains showDomain \
         listOrders showOrder listCarriers listCertificates showCertificate revokeCertificate releaseCertificate receiptRevocation listReceipts listReceiptsOfSerial \
         revokeSerial listLimits resumeLimit listAuthorities showAuthority listCrlShards replayProfile planJob listJobs showJob \
         addJobTerms actOnJob listJobItems listTrialRevocations listEids searchEids showEid revokeEid lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation revokeCarrier scheduleRevocation cancelScheduledRevocation \
         registerRevocationRequests \
         addOrganisation listOrganisations showOrganisation diagnose changeOrganisation endOrganisation \
         listProtectedPersons setProtection lookUpInRegister \
         askApproval listApprovals showApproval decideApproval withdrawApproval",
    ),
    // Reads, cannot change .
    (
        "ca-auditor",
        "listDomains showDomain \
         listOrders showOrder listCarriers listCertificates showCertificate listReceipts listReceiptsOfSerial listLimits listAuthorities showAuthority listCrlShards \
         replayProfile listJobs showJob listJobItems listTrialRevocations listEids searchEids showEid lookUpCarrier showCarrier listScheduledRevocations showScheduledRevocation \
         listOrganisations showOrganisation diagnose \
         listProtectedPersons searchReads \
         listApprovals showApproval",
    ),
];

#[test]
fn each_cell_of_the_table_is_as_the_roles_are_told_of() {
    let roles: Vec<_> = EXPECTED.iter().map(|(name, _)| *name).collect();
    assert_eq!(roles, Role::ALL.iter().map(|role| role.name()).collect::<Vec<_>>());
    for (name, expected) in EXPECTED {
        let role = Role::from_name(name).unwrap();
        let expected: BTreeSet<&str> = expected.split_whitespace().collect();
        for operation in Operation::ALL {
            let cell = expected.contains(operation.id());
            assert_eq!(role.may(*operation), cell, "{name}: {}", operation.id());
        }
        let known: BTreeSet<&str> = Operation::ALL.iter().map(|one| one.id()).collect();
        assert!(expected.is_subset(&known), "{name}");
    }
}

/// The words of the roles: who only sees or only revokes changes nothing else, and nobody's own business is a role's.
#[test]
fn roles_that_see_change_nothing() {
    for role in Role::ALL {
        for operation in Operation::ALL.iter().filter(|one| role.may(**one)) {
            assert_ne!(operation.business(), Business::Own, "{role}: {operation:?}");
            if [Role::GlobalReader, Role::Reader, Role::Auditor].contains(role) {
                assert_eq!(operation.business(), Business::Reading, "{role}: {operation:?}");
            }
        }
        let issues = role.may(Operation::IssueCertificate);
        let words = [
            "id-administrator",
            "reserve-card-administrator-2",
            "reserve-card-administrator-3",
            "responsible-issuer",
        ];
        let orders = words.iter().any(|word| role.orders_as(OrdererRole::from_word(word).unwrap()));
        assert_eq!(issues, orders, "{role}: who may order orders in some role");
        assert!(!role.orders_as(OrdererRole::Holder) && !role.orders_as(OrdererRole::System));
    }
}

/// *Reservkortshandläggare* of trust level 2 never order at level 3, nor ordinary cards.
#[test]
fn each_role_orders_in_its_own() {
    let ordering = |orderer| -> Vec<&str> {
        Role::ALL.iter().filter(|role| role.orders_as(orderer)).map(|role| role.name()).collect()
    };
    let both = ["management-administrator", "responsible-issuer"];

    assert_eq!(
        ordering(OrdererRole::IdAdministrator),
        [&both[..], &["assistant-issuer", "id-administrator"]].concat()
    );
    let reserve = ["reserve-card-administrator-3", "reserve-card-administrator-2"];
    assert_eq!(ordering(OrdererRole::ReserveCardAdministrator2), [&both[..], &reserve].concat());
    assert_eq!(
        ordering(OrdererRole::ReserveCardAdministrator3),
        [&both[..], &reserve[..1]].concat()
    );
    assert_eq!(ordering(OrdererRole::ResponsibleIssuer), both);
    let functions: Vec<_> = Role::ALL.iter().filter(|role| role.orders_functions()).collect();
    assert_eq!(functions, [&Role::ManagementAdministrator, &Role::ResponsibleIssuer]);
}

/// DAT-01: what is about protected persons is for who has the additional role beside one that may, and for nobody without it.
#[test]
fn protected_persons_are_for_the_additional_role() {
    use Protected::{Seen, Unseen};
    for operation in Operation::ALL {
        for role in Role::ALL {
            let acts = |protected| ActsAs::Administrator(*role, protected).may(*operation);
            assert_eq!(acts(Seen), role.may(*operation), "{role}: {operation:?}");
            let ordinary = role.may(*operation) && !operation.is_about_protected_persons();
            assert_eq!(acts(Unseen), ordinary, "{role}: {operation:?}");
        }
    }
    assert_eq!(Protected::default(), Unseen);
    assert_eq!(ActsAs::Holder.protected(), Unseen);
    let sets: Vec<_> = Role::ALL.iter().filter(|one| one.may(Operation::SetProtection)).collect();
    assert!(sets.iter().all(|role| role.reach() == Reach::Global), "{sets:?}");
}

#[test]
fn a_call_is_done_in_one_role() {
    let read = |words: &[&str]| ActsAs::read(words.iter().copied());
    use Protected::{Seen, Unseen};

    assert_eq!(read(&[]), Ok(ActsAs::Holder));
    assert_eq!(read(&["reader"]), Ok(ActsAs::Administrator(Role::Reader, Unseen)));
    for words in [["confidentiality", "revoker"], ["revoker", "confidentiality"]] {
        assert_eq!(read(&words), Ok(ActsAs::Administrator(Role::Revoker, Seen)));
    }
    assert_eq!(read(&["confidentiality"]), Err(RolesFault::Alone));
    assert_eq!(read(&["reader", "revoker"]), Err(RolesFault::Several));
    assert_eq!(read(&["reader", "reader"]), Err(RolesFault::Several));
    assert_eq!(read(&["reader", "confidentiality", "confidentiality"]), Err(RolesFault::Several));
    for word in ["", "Reader", "root", "Läs"] {
        assert_eq!(read(&[word]), Err(RolesFault::Unknown), "{word}");
    }
    for operation in Operation::ALL {
        let own = *operation == Operation::IssueCertificate;
        assert_eq!(ActsAs::Holder.may(*operation), own, "{operation:?}");
    }
}

/// docs/roles.md is what the code says; `sigill roles --markdown > docs/roles.md` writes it anew.
#[test]
fn the_page_is_the_table() {
    assert_eq!(include_str!("../../../docs/roles.md"), page::markdown());
}
