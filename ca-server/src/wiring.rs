//! From a configuration to a running service: every device is opened here, the tokens in [`tokens`].
//!
//! The order matters. Deployment and files are compared first, then the database with the published
//! log, and only then is any token opened: a database older than the published log signs nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::book::Book;
use ca::deployment::Deployment;
use ca::key_period::KeyState;
use ca::profile::ProfileSet;
use hsm::SigningService;
use ledger::checkpoint::CheckpointNote;
use ledger::origin::{DeploymentName, LogName, LogOrigin};
use ledger::signer::NoteSigner;
use store::{BootId, CrlScope, Log, Node, Store, StoreError};
use x509::time::UnixTime;

use crate::at_work::{self, Beside};
use crate::clock::Clock;
use crate::config::{ConfigFile, ManagementSection};
use crate::danger::Danger;
use crate::database::{self, Create};
use crate::http::tls::{ServerIdentity, management_ca};
use crate::management::clients::ClientKeys;
use crate::management::{self, Management, ManagementAuthority};
use crate::observe::Readiness;
use crate::publication::crl_files::CrlFiles;
use crate::publication::files::LogFolder;
use crate::publication::log::{LogPublisher, read_published};
use crate::publication::{Changes, PublicationState, Publisher};
use crate::push::read_back::{self, Comparison};
use crate::push::{Feed, OuterHosts};
use crate::randomness::Randomness;
use crate::receipts::Receipts;
use crate::registers::Registers;
use crate::service::Service;
use crate::service::authority::Authority;
use crate::service::closed::ClosedProfiles;
use crate::service::delegate::{DoneRequests, WithdrawnResponders};
use crate::service::health::SigningHealth;
use crate::service::key_use::KeyUses;
use crate::service::order::OrdersLeft;
use crate::service::recovery;
use crate::service::refusal::RefusalCounts;
use crate::service::test_certificates::TestSet;
use crate::service::trials::RunningTrials;
use crate::start::{self, Told};
use crate::statements::{self, ActorStatements};
use crate::test_certificates::TestCertificates;
use crate::tokens;
use crate::trial_revocations::TrialRevocations;
use crate::unfit::UnfitProfiles;
use crate::{algorithms, kept_expired, key_lists, limits};

/// Reads the deployment of a configuration.
///
/// # Errors
///
/// Names the parts that are not in the compiled table.
pub(crate) fn deployment(config: &ConfigFile) -> anyhow::Result<Deployment> {
    let section = &config.deployment;
    Deployment::from_parts(&section.environment, &section.pki, &section.instance)
        .context("section [deployment]")
}

/// The three note keys, and what receipts rest on.
pub(crate) struct NoteKeys {
    pub(crate) status: Arc<dyn NoteSigner>,
    pub(crate) audit: Arc<dyn NoteSigner>,
    pub(crate) manifest: Arc<dyn NoteSigner>,
    pub(crate) receipts: Option<Receipts>,
}

impl NoteKeys {
    /// Opens the note keys, which must be three.
    ///
    /// # Errors
    ///
    /// Names the file that is not fit.
    pub(crate) fn open(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<Self> {
        ensure!(
            !matches!(deployment.environment(), ca::deployment::Environment::Prod),
            Told::new(
                "note-key-environment",
                "software note keys are refused in environment prod",
                "put the note keys into a token of their own",
            )
        );
        let name: DeploymentName = deployment.to_string().parse()?;
        let open = |path: &Path| -> anyhow::Result<Arc<dyn NoteSigner>> {
            let key = hsm::note::SoftwareNoteKey::open(path, &name)
                .with_context(|| format!("note key {}", path.display()))?;
            Ok(Arc::new(key))
        };
        let mut keys = Self {
            status: open(&config.notes.status)?,
            audit: open(&config.notes.audit)?,
            manifest: open(&config.notes.manifest)?,
            receipts: None,
        };
        let publics =
            [keys.status.public_key(), keys.audit.public_key(), keys.manifest.public_key()];
        let [status, audit, manifest] = publics;
        ensure!(
            status != audit && audit != manifest && status != manifest,
            Told::new(
                "note-key-twice",
                "section [notes] names one key twice; status, audit and manifest have three keys",
                "name the three files that the ceremony made",
            )
        );
        let section = config.receipts.as_ref();
        keys.receipts =
            section.map(|section| Receipts::open(section, &name, &publics)).transpose()?;
        Ok(keys)
    }
}

/// Opens the database, which must be of this deployment.
///
/// # Errors
///
/// The store's own, with the place.
fn open_store(
    config: &ConfigFile,
    deployment: Deployment,
    create: Create,
) -> anyhow::Result<Arc<dyn Store>> {
    database::open(&config.database, deployment, create, Clock::start().read().now)
}

/// Opens the database for a command that is for while `serve` does not run.
///
/// # Errors
///
/// As [`open_store`], and `node-at-work`.
pub(crate) fn open_alone(
    config: &ConfigFile,
    deployment: Deployment,
    create: Create,
) -> anyhow::Result<Arc<dyn Store>> {
    at_work::must_be_stopped(config, Beside::NotOwnName)?;
    open_store(config, deployment, create)
}

/// The CRL side of the publication tree.
///
/// # Errors
///
/// As [`CrlFiles::open`].
pub(crate) fn crl_files(
    config: &ConfigFile,
    deployment: Deployment,
    notes: &NoteKeys,
) -> anyhow::Result<CrlFiles> {
    let section = &config.publication;
    let name: DeploymentName = deployment.to_string().parse()?;
    Ok(CrlFiles::open(
        section.folder.clone(),
        section.spool.clone(),
        config.database.own_folder().to_path_buf(),
        name,
        Arc::clone(&notes.manifest),
    )?)
}

/// Everything that runs.
pub(crate) struct Wired {
    pub(crate) service: Arc<Service>,
    pub(crate) publisher: Publisher,
    pub(crate) readiness: Arc<Readiness>,
    /// Where the tree is pushed to.
    pub(crate) feed: Option<Feed>,
}

/// Wires the program. Nothing is signed before the published log has been compared.
///
/// # Errors
///
/// Says what does not fit; nothing was signed and no token opened before the comparison.
pub(crate) fn wire(
    config: &ConfigFile,
    clients: Arc<ClientKeys>,
    identity: Arc<ServerIdentity>,
) -> anyhow::Result<Wired> {
    let deployment = deployment(config)?;
    let danger = Danger::new(config.danger_test.as_ref(), deployment)?;
    let notes = NoteKeys::open(config, deployment)?;
    let book = crate::book::read(&config.profiles)?;
    let profiles = book.profiles();
    let mut authorities = crate::authorities::read(config)?;
    for authority in authorities.values_mut() {
        authority.issuer = authority.issuer.clone().stopping_for(profiles);
    }
    let test_domains = crate::test_domains::read(config, deployment)?;
    let domain_rule = crate::domain_rule::read(config, deployment)?;
    crate::domain_rule::tell(domain_rule);
    let test_set = TestCertificates::read(config, deployment)?.map(TestSet::new);
    let trials = TrialRevocations::read(config, deployment, Some(profiles))?;
    let trials = trials.map(RunningTrials::new);
    let limits = limits::read(config)?;
    let actors = ActorStatements::read(config, deployment)?;
    let registers = Registers::read(config, deployment)?;
    let four_eyes = config.four_eyes.read(deployment)?;
    statements::judge(config, profiles)?;
    let withdrawn = WithdrawnResponders::read(config)?;
    let policy = Arc::new(algorithms::read(config)?);
    algorithms::judge(&policy, &authorities)?;
    kept_expired::unfit(config, authorities.values()).next().map_or(Ok(()), Err)?;
    let unfit = UnfitProfiles::of(&book, &authorities);
    let signed_otherwise = crate::check::signed_otherwise(profiles, &authorities);
    for error in crate::check::unnamed_profiles(config, profiles)
        .chain(signed_otherwise)
        .chain(limits::unheld(config, profiles))
        .chain(unfit.told())
        .chain(crate::check::unruled(&book))
        .chain(crate::check::unrowed(&book, &authorities))
        .chain(statements::nobody_revokes(config))
        .chain(registers.lacking(&book, deployment))
    {
        tracing::warn!(problem.code = start::code(&error), "{}", start::line(&error));
    }
    let store = open_store(config, deployment, Create::Never)?;
    for authority in authorities.values_mut() {
        end_if_ended(store.as_ref(), authority)?;
    }
    let files = Arc::new(crl_files(config, deployment, &notes)?);
    let feed = read_back::feed(config, deployment, &notes, &store, &files)?;
    let mut boot = [0; 16];
    getrandom::fill(&mut boot).context("no random numbers")?;
    let node = Node { name: config.deployment.node.clone(), boot: BootId::from_bytes(boot) };
    let comparison = Comparison::Now { node: &node };
    feed.as_ref().map_or(Ok(()), |feed| read_back::run(feed, comparison))?;
    let outer_hosts = feed.as_ref().map_or_else(Arc::<OuterHosts>::default, Feed::state);
    let last_seen = last_seen(config, deployment, &notes, store.as_ref())?;
    let clock = Arc::new(Clock::start_after(last_seen, config.clock.longest_stop()));
    let readiness = Arc::new(Readiness::default());
    readiness.watch_outer_hosts(Arc::clone(&outer_hosts));
    tell_rules(&book, clock.read().now);
    let software = config.hsm.danger_software_token;
    let closed = ClosedProfiles::of(unfit.refusals());
    readiness.tell_closed(closed.names());
    readiness.danger_software_token.store(software, Ordering::Relaxed);
    metrics::gauge!("sigill_danger_software_token").set(if software { 1.0 } else { 0.0 });
    let (status, audit) = publishers(config, deployment, &notes, store.as_ref())?;
    // What only renews the API's own certificates keeps no revocation out (promise 4).
    let plane = config.management.as_ref().and_then(|section| {
        let found = check_management(config, section, profiles)
            .and_then(|()| Ok(management_ca(&config.api)?));
        unless_absent(found).map(|certificate| (section, certificate))
    });
    let with_key = plane.as_ref().map(|(section, certificate)| (*section, certificate));
    let tokens::Opened { signer, without_management } =
        tokens::signer(config, deployment, &authorities, with_key)?;
    let signer = Arc::new(signer);
    let management_key = plane.as_ref().map(|(_, ca)| ca.public_key().spki_hash());
    let key_uses = Arc::new(KeyUses::new(signer, management_key, store.as_ref())?);
    let signer: Arc<dyn SigningService> = key_uses.clone();
    let own = authorities.values().map(|one| one.certificate.public_key().spki_hash());
    let keys = key_lists::book(config, own, &readiness)?;

    let authority = plane.and_then(|(_, certificate)| {
        let (signer, keys) = (Arc::clone(&signer), keys.clone());
        let (policy, node) = (Arc::clone(&policy), node.clone());
        unless_absent(without_management.map_or(Ok(()), Err).and_then(|()| {
            ManagementAuthority::new(deployment, policy, certificate, signer, keys, node)
        }))
    });
    let renews = config.management.is_none() || authority.is_some();
    readiness.renewal.store(renews, Ordering::Relaxed);
    metrics::gauge!("sigill_renewal_unavailable").set(if renews { 0.0 } else { 1.0 });
    let management = Management {
        authority,
        clients,
        identity,
        api: config.api.clone(),
        server_renewal: config
            .management
            .as_ref()
            .and_then(|section| section.server_renewal)
            .map(Duration::from_secs),
    };
    for certificate in store.management_certificates()? {
        management.clients.take_stored(&certificate);
    }
    for key in withdrawn.unknown(&store.responders()?) {
        tracing::warn!(problem.code = "responder-withdrawn", key.spki = %key,
            "[responders] withdrawn names a key that no responder has");
    }
    let state = Arc::new(PublicationState::default());
    let service = Arc::new(Service {
        deployment,
        node: node.clone(),
        clock: Arc::clone(&clock),
        randomness: Randomness::default(),
        clock_told: AtomicBool::new(true),
        outer_hosts,
        store: Arc::clone(&store),
        signer,
        key_uses,
        health: SigningHealth::of(authorities.values()),
        book,
        algorithms: policy,
        domain_rule,
        test_domains,
        elsewhere: config.diagnosis.elsewhere.clone(),
        alone: config.revocation.alone,
        read_limits: limits::ReadLimits::read(config),
        reads_told: crate::service::revoke::ToldOnce::default(),
        alone_told: crate::service::revoke::ToldOnce::default(),
        jobs_waiting: crate::service::jobs::worker::JobsWaiting::default(),
        actors,
        holding: config.holding.clone(),
        four_eyes,
        limits,
        authorities,
        publication: Arc::clone(&state),
        readiness: Arc::clone(&readiness),
        files,
        folders: config.publication.clone(),
        keys,
        delegates_done: DoneRequests::default(),
        withdrawn,
        refusals: RefusalCounts::of_clients(),
        delegate_refusals: RefusalCounts::of_responders(),
        danger,
        orders_left: OrdersLeft::default(),
        closed,
        management: Some(management),
        receipts: notes.receipts,
        registers,
        test_set,
        trials,
    });
    let publisher = Publisher {
        store,
        clock,
        node,
        status,
        audit,
        state,
        readiness: Arc::clone(&readiness),
        followed: None,
        changes: Changes::default(),
        failing: None,
        left: None,
    };
    service.observe_issuing();
    Ok(Wired { service, publisher, readiness, feed })
}

/// An authority whose last CRL has been made issues nothing, whatever its section says (CRL-05).
fn end_if_ended(store: &dyn Store, authority: &mut Authority) -> anyhow::Result<()> {
    let last = match store.current_crl(authority.id, &CrlScope::full()) {
        Ok(row) => row.filter(|row| row.next_update == UnixTime::LAST),
        // Not imported yet: it has made nothing.
        Err(StoreError::UnknownIssuer) => None,
        Err(error) => return Err(error.into()),
    };
    let is_active = authority.issuer.period().state() == KeyState::Active;
    if let Some(last) = last.filter(|_| is_active && authority.signs_here()) {
        tracing::error!(
            problem.code = "authority-ended",
            authority.name = authority.name(),
            "its last CRL was made at {}, and it issues no more: write state = \"retired\" into its section",
            last.this_update
        );
        authority.issuer = authority.issuer.clone().retired();
    }
    Ok(())
}

/// Says which restrictions hold today.
fn tell_rules(book: &Book, now: UnixTime) {
    let Some(rules) = book.rules() else { return };
    let names: Vec<String> = rules.in_force(now).map(ToString::to_string).collect();
    tracing::info!(rules = names.join(", "), "dated restrictions in force today");
}

/// What renewing rests on; without it the start goes on, and says so.
fn unless_absent<T>(found: anyhow::Result<T>) -> Option<T> {
    found
        .inspect_err(|error| {
            tracing::error!(
                problem.code = start::code(error),
                "it starts without renewing certificates of the API; mend it and restart: {}",
                start::line(error)
            );
        })
        .ok()
}

/// What `[management]` rests on must be there: its token and both profiles.
///
/// # Errors
///
/// Names what is missing.
pub(crate) fn check_management(
    config: &ConfigFile,
    section: &ManagementSection,
    profiles: &ProfileSet,
) -> anyhow::Result<()> {
    tokens::management_token(config, section)?;
    for name in [management::CLIENT_PROFILE, management::SERVER_PROFILE] {
        management::profile(profiles, name)?;
    }
    Ok(())
}

/// Compares the database with both published logs, before anything is written to it.
///
/// # Errors
///
/// Names both sizes when the database is older than what was published: a restored one, which an
/// import would only lead further astray.
pub(crate) fn compare_with_published(
    config: &ConfigFile,
    deployment: Deployment,
    notes: &NoteKeys,
    store: &dyn Store,
) -> anyhow::Result<()> {
    let name: DeploymentName = deployment.to_string().parse()?;
    for (log, log_name, folder, signer) in [
        (Log::Status, LogName::Status, &config.publication.folder, &notes.status),
        (Log::Audit, LogName::Audit, &config.publication.audit, &notes.audit),
    ] {
        let head = store.log_head(log)?;
        let origin = LogOrigin { deployment: name.clone(), log: log_name, epoch: head.epoch };
        let published = read_published(&LogFolder(folder.clone()), &origin, signer.as_ref())?;
        compare(store, log, head.size, published.as_ref())
            .with_context(|| unfitting(config, folder))?;
    }
    Ok(())
}

/// The latest time that both logs and what is published of them speak of; [`UnixTime::EPOCH`] where
/// nothing is recorded yet. A checkpoint is signed every second, so this is when the program last ran.
///
/// # Errors
///
/// A published checkpoint that is not this deployment's, or the store's.
pub(crate) fn last_seen(
    config: &ConfigFile,
    deployment: Deployment,
    notes: &NoteKeys,
    store: &dyn Store,
) -> anyhow::Result<UnixTime> {
    let name: DeploymentName = deployment.to_string().parse()?;
    let mut last = UnixTime::EPOCH;
    for (log, log_name, folder, signer) in [
        (Log::Status, LogName::Status, &config.publication.folder, &notes.status),
        (Log::Audit, LogName::Audit, &config.publication.audit, &notes.audit),
    ] {
        let head = store.log_head(log)?;
        last = last.max(head.last_time);
        let origin = LogOrigin { deployment: name.clone(), log: log_name, epoch: head.epoch };
        let published = read_published(&LogFolder(folder.clone()), &origin, signer.as_ref())?;
        if let Some(note) = published {
            last = last.max(UnixTime::from_secs(note.timestamp().secs()).unwrap_or(last));
        }
    }
    Ok(last)
}

fn compare(
    store: &dyn Store,
    log: Log,
    ours: u64,
    published: Option<&CheckpointNote>,
) -> anyhow::Result<()> {
    if log == Log::Status {
        return Ok(recovery::compare(store, published)?);
    }
    if let Some(note) = published {
        let size = note.checkpoint().size;
        ensure!(
            size <= ours,
            Told::new(
                "published-ahead",
                format!(
                    "published audit log has {size} entries, this database only {ours}: a database older than its published logs signs nothing"
                ),
                "put the newest database back, or run `sigill-ca take-over` (docs/operations/backup-restore.md)",
            )
        );
    }
    Ok(())
}

fn unfitting(config: &ConfigFile, folder: &Path) -> String {
    let database = match config.database.place() {
        Ok(place) => format!("database {place}"),
        Err(_) => "database".to_owned(),
    };
    format!("{database} does not fit the log published in {}; nothing is signed", folder.display())
}

fn publishers(
    config: &ConfigFile,
    deployment: Deployment,
    notes: &NoteKeys,
    store: &dyn Store,
) -> anyhow::Result<(LogPublisher, LogPublisher)> {
    let name: DeploymentName = deployment.to_string().parse()?;
    let make = |log: Log, log_name: LogName, folder: &Path, signer: &Arc<dyn NoteSigner>| {
        let head = store.log_head(log)?;
        let origin = LogOrigin { deployment: name.clone(), log: log_name, epoch: head.epoch };
        let unfitting = || unfitting(config, folder);
        let folder = LogFolder(folder.to_path_buf());
        let published = read_published(&folder, &origin, signer.as_ref())?;
        compare(store, log, head.size, published.as_ref()).with_context(unfitting)?;
        let read = |from: u64, to: u64| -> Result<Vec<Vec<u8>>, StoreError> {
            let entries = store.log_entries(log, head.epoch, from..to)?;
            Ok(entries.into_iter().map(|entry| entry.bytes).collect())
        };
        anyhow::Ok(LogPublisher::resume(origin, folder, Arc::clone(signer), &read)?)
    };
    let status = make(Log::Status, LogName::Status, &config.publication.folder, &notes.status)?;
    let audit = make(Log::Audit, LogName::Audit, &config.publication.audit, &notes.audit)?;
    Ok((status, audit))
}
