//! What can be asked of the API, one name a method and path: what rules about callers are written in.
//!
//! A call that is in no row is nobody's: who adds a route adds its row, or it is refused to everybody who must sign.

use crate::actor::Demand;

/// Who must stand behind a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Business {
    /// The client's own: it says nothing of a person and changes nothing but the client's credential, or what a vantage point saw.
    Own,
    /// It reads: somebody sees what is shown.
    Reading,
    /// It changes something: somebody answers for it.
    Acting,
}

macro_rules! operations {
    ($($variant:ident = $method:literal $path:literal $id:literal $business:ident;)*) => {
        /// An operation of the API, named as in its contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation {
            $(#[doc = concat!("`", $method, " ", $path, "`.")] $variant,)*
        }

        impl Operation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its method.
            #[must_use]
            pub const fn method(self) -> &'static str {
                match self { $(Self::$variant => $method,)* }
            }

            /// Its path, with names in braces.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$variant => $path,)* }
            }

            /// Its `operationId` in the contract.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// Who must stand behind it.
            #[must_use]
            pub const fn business(self) -> Business {
                match self { $(Self::$variant => Business::$business,)* }
            }
        }
    };
}

operations! {
    IssueCertificate = "POST" "/v1/certificates" "issueCertificate" Acting;
    ListCertificates = "GET" "/v1/certificates" "listCertificates" Reading;
    ShowCertificate = "GET" "/v1/certificates/{id}" "showCertificate" Reading;
    RevokeCertificate = "POST" "/v1/certificates/{id}/revocation" "revokeCertificate" Acting;
    ReleaseCertificate = "POST" "/v1/certificates/{id}/release" "releaseCertificate" Acting;
    SignReceipt = "POST" "/v1/certificates/{id}/receipt" "receiptRevocation" Acting;
    ListReceipts = "GET" "/v1/certificates/{id}/receipts" "listReceipts" Reading;
    ListReceiptsOfSerial = "GET" "/v1/authorities/{name}/serials/{serial}/receipts" "listReceiptsOfSerial" Reading;
    ProbeWork = "GET" "/v1/probe/work" "listProbeWork" Own;
    ProbeObservations = "POST" "/v1/probe/observations" "sendObservations" Own;
    RevokeSerial = "POST" "/v1/authorities/{name}/serials/{serial}/revocation" "revokeSerial" Acting;
    RenewClient = "POST" "/v1/clients/self/renewal" "renewClient" Own;
    ListLimits = "GET" "/v1/limits" "listLimits" Reading;
    ResumeLimit = "POST" "/v1/limits/resumption" "resumeLimit" Acting;
    ListAuthorities = "GET" "/v1/authorities" "listAuthorities" Reading;
    ShowAuthority = "GET" "/v1/authorities/{name}" "showAuthority" Reading;
    ListShards = "GET" "/v1/authorities/{name}/shards" "listCrlShards" Reading;
    ReplayProfile = "POST" "/v1/profiles/replay" "replayProfile" Reading;
    PlanJob = "POST" "/v1/jobs" "planJob" Acting;
    ListJobs = "GET" "/v1/jobs" "listJobs" Reading;
    ShowJob = "GET" "/v1/jobs/{id}" "showJob" Reading;
    AddJobTerms = "POST" "/v1/jobs/{id}/terms" "addJobTerms" Acting;
    ActOnJob = "POST" "/v1/jobs/{id}/acts" "actOnJob" Acting;
    ListJobItems = "GET" "/v1/jobs/{id}/items" "listJobItems" Reading;
    ListTrials = "GET" "/v1/trial-revocations" "listTrialRevocations" Reading;
    ListEids = "GET" "/v1/eids" "listEids" Reading;
    SearchEids = "POST" "/v1/eids/search" "searchEids" Reading;
    ShowEid = "GET" "/v1/eids/{id}" "showEid" Reading;
    RevokeEid = "POST" "/v1/eids/{id}/revocation" "revokeEid" Acting;
    LookUpCarrier = "POST" "/v1/carriers/lookup" "lookUpCarrier" Reading;
    Diagnose = "POST" "/v1/diagnosis" "diagnose" Reading;
    PrepareOrder = "POST" "/v1/orders" "prepareOrder" Acting;
    ListOrders = "GET" "/v1/orders" "listOrders" Reading;
    ShowOrder = "GET" "/v1/orders/{id}" "showOrder" Reading;
    AddOrderEvidence = "POST" "/v1/orders/{id}/evidence" "addOrderEvidence" Acting;
    ApproveOrder = "POST" "/v1/orders/{id}/approvals" "approveOrder" Acting;
    TakeOrderReceipt = "POST" "/v1/orders/{id}/receipt" "takeOrderReceipt" Acting;
    IssueOrder = "POST" "/v1/orders/{id}/issuance" "issueOrder" Acting;
    DeliverOrder = "POST" "/v1/orders/{id}/delivery" "deliverOrder" Acting;
    ActivateOrder = "POST" "/v1/orders/{id}/activation" "activateOrder" Acting;
    CancelOrder = "POST" "/v1/orders/{id}/cancellation" "cancelOrder" Acting;
    RegisterCarriers = "POST" "/v1/carriers" "registerCarriers" Acting;
    ListCarriers = "GET" "/v1/carriers" "listCarriers" Reading;
    MoveCarrier = "POST" "/v1/carriers/{id}/moves" "moveCarrier" Acting;
    ShowCarrier = "GET" "/v1/carriers/{id}" "showCarrier" Reading;
    RevokeCarrier = "POST" "/v1/carriers/{id}/revocation" "revokeCarrier" Acting;
    ScheduleRevocation = "POST" "/v1/scheduled-revocations" "scheduleRevocation" Acting;
    ListScheduledRevocations = "GET" "/v1/scheduled-revocations" "listScheduledRevocations" Reading;
    ShowScheduledRevocation = "GET" "/v1/scheduled-revocations/{id}" "showScheduledRevocation" Reading;
    CancelScheduledRevocation = "POST" "/v1/scheduled-revocations/{id}/cancellation" "cancelScheduledRevocation" Acting;
    RegisterRequests = "POST" "/v1/revocation-requests" "registerRevocationRequests" Acting;
    AddOrganisation = "POST" "/v1/organisations" "addOrganisation" Acting;
    ListOrganisations = "GET" "/v1/organisations" "listOrganisations" Reading;
    ShowOrganisation = "GET" "/v1/organisations/{id}" "showOrganisation" Reading;
    ChangeOrganisation = "POST" "/v1/organisations/{id}/change" "changeOrganisation" Acting;
    EndOrganisation = "POST" "/v1/organisations/{id}/ending" "endOrganisation" Acting;
    StateDomain = "POST" "/v1/domains" "stateDomain" Acting;
    ListDomains = "GET" "/v1/domains" "listDomains" Reading;
    ShowDomain = "GET" "/v1/domains/{id}" "showDomain" Reading;
    TokenOfDomain = "POST" "/v1/domains/{id}/token" "tokenOfDomain" Acting;
    ProveDomain = "POST" "/v1/domains/{id}/proofs" "proveDomain" Acting;
    WithdrawDomain = "POST" "/v1/domains/{id}/withdrawal" "withdrawDomain" Acting;
    SetProtection = "POST" "/v1/protected-persons" "setProtection" Acting;
    ListProtectedPersons = "GET" "/v1/protected-persons" "listProtectedPersons" Reading;
    SearchReads = "POST" "/v1/reads/search" "searchReads" Reading;
    LookUpInRegister = "POST" "/v1/registers/lookup" "lookUpInRegister" Reading;
    AskApproval = "POST" "/v1/approvals" "askApproval" Acting;
    ListApprovals = "GET" "/v1/approvals" "listApprovals" Reading;
    ShowApproval = "GET" "/v1/approvals/{id}" "showApproval" Reading;
    DecideApproval = "POST" "/v1/approvals/{id}/decision" "decideApproval" Acting;
    WithdrawApproval = "POST" "/v1/approvals/{id}/withdrawal" "withdrawApproval" Acting;
}

impl Operation {
    /// Whether it is done also with a configuration that nobody has activated: it revokes, or it is how many are revoked.
    #[must_use]
    pub const fn goes_on_unactivated(self) -> bool {
        matches!(
            self,
            Self::RevokeCertificate
                | Self::RevokeSerial
                | Self::RevokeEid
                | Self::RevokeCarrier
                | Self::ScheduleRevocation
                | Self::RegisterRequests
                | Self::CancelOrder
                | Self::SignReceipt
                | Self::PlanJob
                | Self::AddJobTerms
                | Self::ActOnJob
        )
    }

    /// Whether it is about protected persons as such: for who acts in a role to which these are added, and for nobody else.
    #[must_use]
    pub const fn is_about_protected_persons(self) -> bool {
        matches!(self, Self::SetProtection | Self::ListProtectedPersons)
    }

    /// The operation that a call of this method and path asks for, a path as a caller writes it: each name in braces stands for one part of it
    /// that is not empty. `None` also where a query follows.
    #[must_use]
    pub fn asked(method: &str, path: &str) -> Option<Self> {
        let fits = |template: &str| {
            let (mut wanted, mut found) = (template.split('/'), path.split('/'));
            loop {
                match (wanted.next(), found.next()) {
                    (None, None) => return true,
                    (Some(wanted), Some(found)) if wanted.starts_with('{') => {
                        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
                        if found.is_empty() || !found.bytes().all(is_name) {
                            return false;
                        }
                    }
                    (Some(wanted), Some(found)) if wanted == found => {}
                    _ => return false,
                }
            }
        };
        let exact =
            Self::ALL.iter().copied().find(|one| (one.method(), one.path()) == (method, path));
        exact.or_else(|| {
            Self::ALL.iter().copied().find(|one| one.method() == method && fits(one.path()))
        })
    }

    /// The operation of a method and a path with names in braces, as a router has it. A `HEAD` is the `GET` that it is answered by.
    #[must_use]
    pub fn of(method: &str, path: &str) -> Option<Self> {
        let method = if method == "HEAD" { "GET" } else { method };
        Self::ALL.iter().copied().find(|one| (one.method(), one.path()) == (method, path))
    }
}

impl Demand {
    /// Whether a call must come with a statement: `None` is a call that is in no row.
    #[must_use]
    pub const fn wants_statement(self, business: Option<Business>) -> bool {
        match (self, business) {
            (Self::None, _) | (_, Some(Business::Own)) => false,
            (Self::EveryCall, _) | (Self::Acts, Some(Business::Acting) | None) => true,
            (Self::Acts, Some(Business::Reading)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_has_names_of_its_own() {
        let ids: BTreeSet<_> = Operation::ALL.iter().map(|one| one.id()).collect();

        assert_eq!(ids.len(), Operation::ALL.len());
        for one in Operation::ALL {
            assert_eq!(Operation::of(one.method(), one.path()), Some(*one));
        }
        assert_eq!(Operation::of("HEAD", "/v1/eids"), Some(Operation::ListEids));
        assert_eq!(Operation::of("DELETE", "/v1/eids"), None);
    }

    /// CER-10: a call that is asked for before it is made is the operation that the router would find.
    #[test]
    fn a_path_as_it_is_sent_leads_to_its_operation() {
        for one in Operation::ALL {
            let path = one.path().replace("{id}", "crt_1").replace("{name}", "personca1");
            let path = path.replace("{serial}", "0a");
            assert_eq!(Operation::asked(one.method(), &path), Some(*one), "{path}");
        }
        for path in [
            "/v1/certificates//release",
            "/v1/certificates/crt_1/release/",
            "/v1/certificates/crt_1/release?x=1",
            "/v1/certificates/crt%5f1/release",
            "v1/certificates/crt_1/release",
            "/v1/certificates/a/b/release",
        ] {
            assert_eq!(Operation::asked("POST", path), None, "{path}");
        }
        assert_eq!(Operation::asked("GET", "/v1/certificates/crt_1/release"), None);
    }

    /// API-04, API-05: what is in no row, and what changes something, is signed for by whoever must sign at all.
    #[test]
    fn what_changes_something_or_is_unknown_wants_a_statement() {
        use Business::{Acting, Own, Reading};
        for (demand, wants) in [
            (Demand::EveryCall, [true, true, true, false]),
            (Demand::Acts, [true, true, false, false]),
            (Demand::None, [false; 4]),
        ] {
            let found = [None, Some(Acting), Some(Reading), Some(Own)]
                .map(|business| demand.wants_statement(business));
            assert_eq!(found, wants, "{demand:?}");
        }
        // A certificate is issued by none but an act.
        let issues = Operation::ALL.iter().filter(|one| one.path().starts_with("/v1/certificates"));
        for one in issues.filter(|one| one.method() == "POST") {
            assert_eq!(one.business(), Acting, "{one:?}");
        }
        let own: Vec<_> = Operation::ALL.iter().filter(|one| one.business() == Own).collect();
        let expected = [Operation::ProbeWork, Operation::ProbeObservations, Operation::RenewClient];
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
}
