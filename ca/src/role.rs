//! What administrators may do: the eleven roles of the portal and the CA's own, against every operation of the API (API-04).
//!
//! Who has which role, the portal says, and an identity provider where one signs; the CA holds the role that a statement claims against this table, and the
//! organisation that it claims it on against what is asked for. What stands in no cell is refused. docs/roles.md is written from it.

pub mod page;

use std::fmt;

use crate::operation::Operation;
use crate::routine::OrdererRole;

/// How far a role reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Everywhere.
    Global,
    /// One organisation and what lies under it.
    Organisation,
    /// As far as the role that it is added to.
    Inherited,
}

macro_rules! roles {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $swedish:literal $reach:ident;)*) => {
        /// A role that a statement may claim.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Role {
            $($(#[$doc])* $variant,)*
        }

        impl Role {
            /// All of them: the portal's, then the CA's own.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its word in statements.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What administrators call it.
            #[must_use]
            pub const fn swedish(self) -> &'static str {
                match self { $(Self::$variant => $swedish,)* }
            }

            /// How far it reaches.
            #[must_use]
            pub const fn reach(self) -> Reach {
                match self { $(Self::$variant => Reach::$reach,)* }
            }
        }
    };
}

roles! {
    /// Does everything in the portal.
    ManagementAdministrator = "management-administrator" "Förvaltningsadministratör" Global;
    /// Revokes any card and eID, and sees what that needs.
    GlobalRevoker = "global-revoker" "Global Spärr" Global;
    /// Sees everything.
    GlobalReader = "global-reader" "Global Läs" Global;
    /// Answers for an issuing area.
    ResponsibleIssuer = "responsible-issuer" "Ansvarig utgivare" Organisation;
    /// Helps the one who answers for it.
    AssistantIssuer = "assistant-issuer" "Biträdande utgivare" Organisation;
    /// Orders and activates ordinary cards, updates and revokes.
    IdAdministrator = "id-administrator" "Handläggare" Organisation;
    /// Orders reserve cards of trust level 3, and of 2.
    ReserveCardAdministrator3 = "reserve-card-administrator-3" "Reservkortshandläggare tillitsnivå 3" Organisation;
    /// Orders reserve cards of trust level 2.
    ReserveCardAdministrator2 = "reserve-card-administrator-2" "Reservkortshandläggare tillitsnivå 2" Organisation;
    /// Revokes.
    Revoker = "revoker" "Spärr" Organisation;
    /// Sees.
    Reader = "reader" "Läs" Organisation;
    /// Adds protected persons to another role; may nothing by itself.
    Confidentiality = "confidentiality" "Sekretess (tilläggsroll)" Inherited;
    /// Of the CA: approves what operators plan.
    SecurityOfficer = "security-officer" "CA: säkerhetsansvarig" Global;
    /// Of the CA: keeps it running; sees authorities and limits.
    SystemAdministrator = "system-administrator" "CA: systemadministratör" Global;
    /// Of the CA: revokes, plans jobs, ends pauses.
    Operator = "ca-operator" "CA: operatör" Global;
    /// Of the CA: sees everything and changes nothing.
    Auditor = "ca-auditor" "CA: revisor" Global;
}

/// What is looked up on the way to a revocation.
const FINDS: &[Operation] = &[
    Operation::ListEids,
    Operation::SearchEids,
    Operation::ShowEid,
    Operation::LookUpCarrier,
    Operation::ShowCarrier,
    Operation::ListScheduledRevocations,
    Operation::ShowScheduledRevocation,
];
/// What revokes what is of somebody's organisation.
const REVOKES: &[Operation] = &[
    Operation::RevokeCertificate,
    Operation::RevokeEid,
    Operation::RevokeCarrier,
    Operation::ScheduleRevocation,
    Operation::CancelScheduledRevocation,
    Operation::RegisterRequests,
];
/// What is public or of the tree as far as one sees it, and why an eID does not work.
const LOOKS_ROUND: &[Operation] = &[
    Operation::ListAuthorities,
    Operation::ShowAuthority,
    Operation::ListOrganisations,
    Operation::ShowOrganisation,
    Operation::Diagnose,
];
/// What changes the tree.
const ORGANISES: &[Operation] =
    &[Operation::AddOrganisation, Operation::ChangeOrganisation, Operation::EndOrganisation];
/// What an organisation proves: for who answers for it.
const PROVES_DOMAINS: &[Operation] = &[
    Operation::StateDomain,
    Operation::TokenOfDomain,
    Operation::ProveDomain,
    Operation::WithdrawDomain,
];
/// The domains of organisations, as far as one sees these.
const SEES_DOMAINS: &[Operation] = &[Operation::ListDomains, Operation::ShowDomain];
/// The listing of protected persons, with the additional role alone.
const SEES_PROTECTED: &[Operation] = &[Operation::ListProtectedPersons];
/// Whether a person is protected is true everywhere: for who reaches everywhere, with the additional role alone.
const PROTECTS: &[Operation] = &[Operation::SetProtection];
/// Who was shown what of a person: for who answers for the register, and for who audits it.
const SEES_READS: &[Operation] = &[Operation::SearchReads];
/// What a register says of anybody: for who answers for the register, and for who runs the CA.
const ASKS_REGISTERS: &[Operation] = &[Operation::LookUpInRegister];
/// Certificates, as far as somebody sees them.
const READS: &[Operation] = &[Operation::ListCertificates, Operation::ShowCertificate];
/// What tells of serial numbers, whosever they are: for who reaches everywhere.
const READS_EVERYWHERE: &[Operation] = &[Operation::ListReceipts, Operation::ListReceiptsOfSerial];
const REVOKES_EVERYWHERE: &[Operation] = &[Operation::RevokeSerial, Operation::SignReceipt];
const ORDERS: &[Operation] = &[
    Operation::IssueCertificate,
    Operation::PrepareOrder,
    Operation::AddOrderEvidence,
    Operation::ApproveOrder,
    Operation::TakeOrderReceipt,
    Operation::IssueOrder,
    Operation::DeliverOrder,
    Operation::ActivateOrder,
    Operation::CancelOrder,
    Operation::RegisterCarriers,
    Operation::MoveCarrier,
];
/// Orders of several steps, and carriers that are registered, as far as somebody sees them.
const SEES_ORDERS: &[Operation] =
    &[Operation::ListOrders, Operation::ShowOrder, Operation::ListCarriers];
/// What jobs that revoke many look like.
const SEES_JOBS: &[Operation] = &[Operation::ListJobs, Operation::ShowJob, Operation::ListJobItems];
/// What others ask to have approved, and the decision on it; on what, the role's other rights say.
const DECIDES: &[Operation] =
    &[Operation::ListApprovals, Operation::ShowApproval, Operation::DecideApproval];
/// Asking for an approval, and taking that back.
const ASKS: &[Operation] = &[Operation::AskApproval, Operation::WithdrawApproval];
/// What was asked for and decided.
const SEES_APPROVALS: &[Operation] = &[Operation::ListApprovals, Operation::ShowApproval];
/// How the CA is.
const SEES_THE_CA: &[Operation] = &[
    Operation::ListLimits,
    Operation::ListAuthorities,
    Operation::ShowAuthority,
    Operation::ListShards,
    Operation::ListTrials,
];

impl Role {
    /// The role of a word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.name() == name)
    }

    /// Its row of the table.
    const fn permitted(self) -> &'static [&'static [Operation]] {
        match self {
            Self::ManagementAdministrator => &[
                ORDERS,
                FINDS,
                REVOKES,
                LOOKS_ROUND,
                READS,
                SEES_ORDERS,
                ORGANISES,
                PROVES_DOMAINS,
                SEES_DOMAINS,
                READS_EVERYWHERE,
                REVOKES_EVERYWHERE,
                SEES_PROTECTED,
                SEES_READS,
                ASKS_REGISTERS,
                PROTECTS,
                ASKS,
                DECIDES,
                &[Operation::ReleaseCertificate],
            ],
            Self::GlobalRevoker => &[FINDS, REVOKES, REVOKES_EVERYWHERE],
            Self::GlobalReader => &[
                FINDS,
                LOOKS_ROUND,
                READS,
                SEES_ORDERS,
                SEES_DOMAINS,
                READS_EVERYWHERE,
                SEES_PROTECTED,
            ],
            Self::ResponsibleIssuer => &[
                ORDERS,
                FINDS,
                REVOKES,
                LOOKS_ROUND,
                READS,
                SEES_ORDERS,
                ORGANISES,
                PROVES_DOMAINS,
                SEES_DOMAINS,
                SEES_PROTECTED,
                ASKS,
                DECIDES,
            ],
            Self::AssistantIssuer => &[
                ORDERS,
                FINDS,
                REVOKES,
                LOOKS_ROUND,
                READS,
                SEES_ORDERS,
                SEES_DOMAINS,
                SEES_PROTECTED,
                ASKS,
                DECIDES,
            ],
            Self::IdAdministrator => &[
                ORDERS,
                FINDS,
                REVOKES,
                LOOKS_ROUND,
                READS,
                SEES_ORDERS,
                SEES_PROTECTED,
                ASKS,
                DECIDES,
            ],
            Self::ReserveCardAdministrator3 | Self::ReserveCardAdministrator2 => {
                &[ORDERS, FINDS, LOOKS_ROUND, READS, SEES_ORDERS, ASKS, DECIDES]
            }
            Self::Revoker => &[FINDS, REVOKES],
            Self::Reader => &[FINDS, LOOKS_ROUND, READS, SEES_ORDERS, SEES_DOMAINS, SEES_PROTECTED],
            Self::Confidentiality => &[],
            Self::SecurityOfficer => &[SEES_JOBS, SEES_THE_CA, DECIDES, &[Operation::ActOnJob]],
            Self::SystemAdministrator => &[SEES_THE_CA],
            Self::Operator => &[
                FINDS,
                REVOKES,
                LOOKS_ROUND,
                READS,
                SEES_ORDERS,
                ORGANISES,
                SEES_DOMAINS,
                READS_EVERYWHERE,
                REVOKES_EVERYWHERE,
                SEES_JOBS,
                SEES_THE_CA,
                SEES_PROTECTED,
                ASKS_REGISTERS,
                PROTECTS,
                ASKS,
                DECIDES,
                &[
                    Operation::ReleaseCertificate,
                    Operation::PlanJob,
                    Operation::AddJobTerms,
                    Operation::ActOnJob,
                    Operation::ResumeLimit,
                    Operation::ReplayProfile,
                    Operation::WithdrawDomain,
                ],
            ],
            Self::Auditor => &[
                FINDS,
                LOOKS_ROUND,
                READS,
                SEES_ORDERS,
                SEES_DOMAINS,
                READS_EVERYWHERE,
                SEES_JOBS,
                SEES_THE_CA,
                SEES_PROTECTED,
                SEES_READS,
                SEES_APPROVALS,
                &[Operation::ReplayProfile],
            ],
        }
    }

    /// Whether it may do this.
    #[must_use]
    pub fn may(self, operation: Operation) -> bool {
        self.permitted().iter().any(|group| group.contains(&operation))
    }

    /// Whether it orders in this role of a routine.
    #[must_use]
    pub const fn orders_as(self, orderer: OrdererRole) -> bool {
        let issuer = matches!(self, Self::ResponsibleIssuer | Self::ManagementAdministrator);
        match orderer {
            OrdererRole::IdAdministrator => {
                issuer || matches!(self, Self::AssistantIssuer | Self::IdAdministrator)
            }
            OrdererRole::ReserveCardAdministrator2 => {
                issuer
                    || matches!(
                        self,
                        Self::ReserveCardAdministrator2 | Self::ReserveCardAdministrator3
                    )
            }
            OrdererRole::ReserveCardAdministrator3 => {
                issuer || matches!(self, Self::ReserveCardAdministrator3)
            }
            OrdererRole::ResponsibleIssuer => issuer,
            OrdererRole::Holder | OrdererRole::System => false,
        }
    }

    /// Whether it orders certificates of functions, which go by those who answer for an area.
    #[must_use]
    pub const fn orders_functions(self) -> bool {
        matches!(self, Self::ResponsibleIssuer | Self::ManagementAdministrator)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// In which role somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActsAs {
    /// In none: as the holder of his own eID.
    Holder,
    /// In one, and with the addition or without.
    Administrator(Role, Protected),
}

/// Whether the additional role is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protected {
    /// It is: protected persons, too.
    Seen,
    /// It is not.
    #[default]
    Unseen,
}

impl ActsAs {
    /// Reads the roles that a statement claims: none, one, or one and the additional one.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn read<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, RolesFault> {
        let mut base = None;
        let mut protected = Protected::Unseen;
        for word in words {
            match Role::from_name(word) {
                None => return Err(RolesFault::Unknown),
                Some(Role::Confidentiality) if protected == Protected::Unseen => {
                    protected = Protected::Seen;
                }
                Some(role) if base.is_none() && role != Role::Confidentiality => base = Some(role),
                Some(_) => return Err(RolesFault::Several),
            }
        }
        match (base, protected) {
            (Some(role), protected) => Ok(Self::Administrator(role, protected)),
            (None, Protected::Unseen) => Ok(Self::Holder),
            (None, Protected::Seen) => Err(RolesFault::Alone),
        }
    }

    /// Whether this may be done so. A holder orders for himself, and nothing else.
    #[must_use]
    pub fn may(self, operation: Operation) -> bool {
        match self {
            Self::Holder => operation == Operation::IssueCertificate,
            Self::Administrator(role, protected) => {
                let is_privy =
                    protected == Protected::Seen || !operation.is_about_protected_persons();
                is_privy && role.may(operation)
            }
        }
    }

    /// Whether protected persons are seen so.
    #[must_use]
    pub const fn protected(self) -> Protected {
        match self {
            Self::Holder => Protected::Unseen,
            Self::Administrator(_, protected) => protected,
        }
    }

    /// Whether an order of this orderer's role may be signed so.
    #[must_use]
    pub const fn orders_as(self, orderer: OrdererRole) -> bool {
        match self {
            Self::Holder => matches!(orderer, OrdererRole::Holder),
            Self::Administrator(role, _) => role.orders_as(orderer),
        }
    }

    /// Whether the role is one on an organisation, which the statement names then, and does not else.
    #[must_use]
    pub fn is_on_an_organisation(self) -> bool {
        match self {
            Self::Holder => false,
            Self::Administrator(role, _) => role.reach() == Reach::Organisation,
        }
    }
}

impl fmt::Display for ActsAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holder => f.write_str("holder"),
            Self::Administrator(role, Protected::Unseen) => role.fmt(f),
            Self::Administrator(role, Protected::Seen) => {
                write!(f, "{role} and {}", Role::Confidentiality)
            }
        }
    }
}

/// What is wrong with the roles that a statement claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolesFault {
    /// The additional role without another one.
    #[error("confidentiality without the role that it is added to")]
    Alone,
    /// More than one, or one twice.
    #[error("several roles: a call is done in one")]
    Several,
    /// A word that is none.
    #[error("a word that is no role")]
    Unknown,
}

#[cfg(test)]
mod tests;
