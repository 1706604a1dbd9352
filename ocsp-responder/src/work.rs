//! What this program does about answers, on threads of its own: keeps delegates, signs beforehand, takes up what was signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use host::vital;
use hsm::{SigningService, TokenSigner};

use crate::alarms::AlarmCounts;
use crate::authority::{Authorities, Authority, AuthorityError};
use crate::chain;
use crate::clock::now;
use crate::complaint::Complaint;
use crate::config::{Config, DelegateSource, Hsm, PinnedAuthority, Role};
use crate::delegate::Delegates;
use crate::keeper::{Keeper, KeeperError, KeeperFolders};
use crate::metrics::Metrics;
use crate::presigned::{
    Outcome, Presigner, PresignerSettings, Presigning, Stock, StockKeeper, TakesUp,
};
use crate::responder::AnswerSource;
use crate::run::{FOLLOW_EVERY, open_token};
use crate::start::{self, Told};
use crate::view::View;

/// How often delegates are looked after.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// How often answers that were signed beforehand are looked for.
const STOCK_EVERY: Duration = Duration::from_millis(500);

/// What the program's threads share.
pub(crate) struct Parts {
    pub(crate) view: Arc<View>,
    pub(crate) authorities: Arc<ArcSwap<Authorities>>,
    pub(crate) delegates: Arc<Delegates>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) alarms: Arc<AlarmCounts>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// What is at work for the answers.
pub(crate) struct Working {
    pub(crate) source: AnswerSource,
    /// Where answers are signed beforehand.
    pub(crate) presigning: Option<Arc<Presigning>>,
    pub(crate) threads: Vec<thread::JoinHandle<()>>,
}

impl Parts {
    /// Starts what this program does about answers.
    pub(crate) fn work(&self, config: &Config) -> anyhow::Result<Working> {
        let Some(hsm) = config.role.hsm() else { return self.give_from_stock(config) };
        let signer = Arc::new(TokenSigner::new(hsm.deadline));
        let keeper = open_keeper(config, hsm, &signer, &self.delegates)?;
        let service: Arc<dyn SigningService> = signer;
        let mut threads = vec![{
            let (config, stop) = (config.clone(), Arc::clone(&self.stop));
            let authorities = Arc::clone(&self.authorities);
            spawn("delegates", move || keep(keeper, &config, &authorities, &stop))?
        }];
        let mut presigning = None;
        if let Role::SignsBeforehand(hsm) = &config.role {
            let settings = PresignerSettings {
                publication: config.publication.clone(),
                validity: config.timing.validity,
                at_once: hsm.sessions,
                names: answered_for(config).map(|pinned| pinned.name.clone()).collect(),
            };
            let figures = Arc::<Presigning>::default();
            presigning = Some(Arc::clone(&figures));
            let presigner = Presigner::new(
                settings,
                Arc::clone(&self.view),
                Arc::clone(&self.delegates),
                Arc::clone(&self.metrics),
                figures,
            );
            let (authorities, stop) = (Arc::clone(&self.authorities), Arc::clone(&self.stop));
            threads.push(spawn("waves", move || presign(presigner, &authorities, &stop))?);
        }
        let finals = self.stock(config, TakesUp::Final)?;
        threads.push(finals.1);
        Ok(Working {
            source: AnswerSource::Keys { service, finals: finals.0 },
            presigning,
            threads,
        })
    }

    fn give_from_stock(&self, config: &Config) -> anyhow::Result<Working> {
        let (stock, thread) = self.stock(config, TakesUp::All)?;
        Ok(Working { source: AnswerSource::Stock(stock), presigning: None, threads: vec![thread] })
    }

    /// The files of answers that are taken up, and the thread that does so.
    fn stock(
        &self,
        config: &Config,
        takes_up: TakesUp,
    ) -> anyhow::Result<(Arc<Stock>, thread::JoinHandle<()>)> {
        let stock = Arc::new(Stock::open(&config.state).context(Told::new(
            "state-unusable",
            "folder of the answers that are believed cannot be made",
            "check the state folder's permissions and space",
        ))?);
        let keeper = StockKeeper::new(
            &config.publication,
            Arc::clone(&stock),
            Arc::clone(&self.view),
            config.timing.validity,
            config.clock_bound,
            takes_up,
        );
        let thread = {
            let (config, stop) = (config.clone(), Arc::clone(&self.stop));
            let (authorities, alarms) = (Arc::clone(&self.authorities), Arc::clone(&self.alarms));
            spawn("stock", move || stock_up(keeper, &config, &authorities, &alarms, &stop))?
        };
        Ok((stock, thread))
    }
}

/// The authorities that answers are signed under.
fn answered_for(config: &Config) -> impl Iterator<Item = &PinnedAuthority> {
    config.authorities.iter().filter(|pinned| pinned.delegates != DelegateSource::Shared)
}

/// Signs wave after wave.
fn presign(mut presigner: Presigner, authorities: &ArcSwap<Authorities>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if !matches!(presigner.step(&authorities.load(), now()), Ok(Outcome::Done)) {
            thread::sleep(FOLLOW_EVERY);
        }
    }
}

/// Takes up answers that arrive.
fn stock_up(
    mut keeper: StockKeeper,
    config: &Config,
    authorities: &ArcSwap<Authorities>,
    alarms: &AlarmCounts,
    stop: &AtomicBool,
) {
    let mut complaints: Vec<Complaint> = Vec::new();
    complaints.resize_with(config.authorities.len(), Complaint::default);
    while !stop.load(Ordering::Relaxed) {
        read_authorities(config, authorities, &mut complaints);
        let known = authorities.load_full();
        // Also other certificates of a CA, which share its delegates: final answers may lie under any of its names.
        for pinned in &config.authorities {
            let Some(authority) = known.list().iter().find(|one| one.name == pinned.name) else {
                continue;
            };
            keeper.step(authority, pinned.delegates, now(), &mut |error| {
                alarms.count(error.code());
                tracing::error!(
                    problem.code = error.code(),
                    error = chain(error),
                    "answers signed beforehand are not taken up"
                );
            });
        }
        thread::sleep(STOCK_EVERY);
    }
}

/// Starts a thread of this name.
///
/// # Errors
///
/// The system gives none.
pub(crate) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> anyhow::Result<thread::JoinHandle<()>> {
    vital::spawn(name, work).context("thread cannot be started")
}

fn open_keeper(
    config: &Config,
    hsm: &Hsm,
    signer: &Arc<TokenSigner>,
    delegates: &Arc<Delegates>,
) -> anyhow::Result<Keeper> {
    let token = open_token(hsm, &config.state)?;
    let folders = KeeperFolders {
        publication: config.publication.clone(),
        outbox: config.outbox.clone(),
        state: config.state.clone(),
    };
    Keeper::new(
        folders,
        config.deployment.clone(),
        token,
        Arc::clone(signer),
        hsm.identity,
        Arc::clone(delegates),
        config.timing,
    )
    .context("delegates cannot be kept")
}

fn keep(
    mut keeper: Keeper,
    config: &Config,
    authorities: &ArcSwap<Authorities>,
    stop: &AtomicBool,
) {
    let mut complaints: Vec<Complaint> = Vec::new();
    complaints.resize_with(config.authorities.len(), Complaint::default);
    while !stop.load(Ordering::Relaxed) {
        read_authorities(config, authorities, &mut complaints);
        let known = authorities.load_full();
        for (pinned, complaint) in config.authorities.iter().zip(&mut complaints) {
            if pinned.delegates == DelegateSource::Shared {
                continue;
            }
            let Some(authority) = known.list().iter().find(|one| one.name == pinned.name) else {
                continue;
            };
            let kept = keeper.look_after(authority, pinned, now());
            let _ =
                complaint.hear("delegate is not kept", |_: &KeeperError| "delegate-not-kept", kept);
        }
        thread::sleep(KEEP_EVERY);
    }
}

/// Reads the certificates of CAs that have not been read yet.
fn read_authorities(
    config: &Config,
    authorities: &ArcSwap<Authorities>,
    complaints: &mut [Complaint],
) {
    let known = authorities.load_full();
    if known.complete() {
        return;
    }
    let mut list = known.list().to_vec();
    for (pinned, complaint) in config.authorities.iter().zip(complaints) {
        if list.iter().any(|one| one.name == pinned.name) {
            continue;
        }
        let read = Authority::read(&config.publication, pinned);
        let read = complaint.hear(
            "authority is not answered for",
            |error: &AuthorityError| start::of_authority(error).0,
            read,
        );
        if let Some(Some(authority)) = read {
            tracing::info!(authority.name = authority.name, authority.issuer = %authority.issuer,
                "authority is answered for");
            list.push(Arc::new(authority));
        }
    }
    if list.len() != known.list().len() {
        authorities.store(Arc::new(Authorities::new(list, config.authorities.len())));
    }
}
