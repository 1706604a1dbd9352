//! `sigill-ca`: the online certification authority.
//!
//! Holds the issuing keys over PKCS#11, the database and the publication tree; speaks the HTTPS API
//! with mutual TLS. Every configuration key is documented in `config`.

mod activation;
mod actors;
mod algorithms;
mod at_work;
mod authorities;
mod book;
mod check;
mod clock;
mod config;
mod configuration;
mod confirm;
mod contract;
mod danger;
mod database;
mod denied;
mod domain_rule;
mod enrol;
mod exchange;
mod final_answers;
mod four_eyes;
mod http;
mod import;
mod import_crl;
mod imports;
mod kept_expired;
mod key_lists;
mod last_crl;
mod limits;
mod management;
mod observe;
mod publication;
mod push;
mod randomness;
mod receipts;
mod recover;
mod registers;
mod schedule;
mod service;
mod start;
mod statements;
mod takeover;
mod test_certificates;
mod test_domains;
mod tokens;
mod trial_revocations;
mod unfit;
mod wiring;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use host::vital;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// For everything in the process, SQLite and PKCS#11 modules too: an eighth more certificates for a CPU second than
/// with the system's, at the same memory.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use config::ConfigFile;
use database::Create;
use http::tls::{ServerIdentity, server_config};
use http::{Admission, App};
use publication::Ended;
use push::read_back::{self, Comparison};
use service::canary::Acceptance;
use start::Told;
use wiring::Wired;

/// The online certification authority of Sigill.
#[derive(Debug, Parser)]
#[command(
    name = "sigill-ca",
    version,
    about,
    after_help = "Example:\n  sigill-ca serve --config config/ca.toml"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API, make CRLs and publish.
    #[command(after_help = "Example:\n  sigill-ca serve --config config/ca.toml")]
    Serve {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Make the key that receipts of revocations are signed with, where section `[receipts]` names it.
    #[command(after_help = "Example:\n  sigill-ca make-receipt-key --config config/ca.toml")]
    MakeReceiptKey {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Read the configuration and what it names, say all that is wrong, change nothing; `serve` may be running.
    #[command(after_help = "Example:\n  sigill-ca check-config --config config/ca.toml")]
    CheckConfig {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// The configuration that two persons activate: hash, status, approve, activate.
    #[command(
        subcommand,
        after_help = "Example (docs/operations/configuration.md):\n  sigill-ca configuration status --config config/ca.toml"
    )]
    Configuration(configuration::Configuration),
    /// Bring a database that was put back from a backup up to the published logs.
    #[command(after_help = "Example:\n  sigill-ca take-over --config config/ca.toml")]
    TakeOver {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Confirm a clock that is far ahead of everything recorded, while `serve` does not run.
    #[command(
        after_help = "Example (the time by another clock than this machine's):\n  sigill-ca confirm-clock --config config/ca.toml --utc 2026-11-22T02:30:00Z"
    )]
    ConfirmClock {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The time by another clock, UTC; this machine's may differ by two minutes.
        #[arg(long, value_name = "TIME")]
        utc: String,
    },
    /// Let a profile issue again that was closed because this version of the program makes something else of its sample.
    #[command(
        after_help = "Example (while `serve` does not run):\n  sigill-ca accept-canary --config config/ca.toml --actor operator-7 --note 'CHANGELOG 0.2: order of extensions' \\\n    function person-id-3-authentication/personnummer"
    )]
    AcceptCanary {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Opaque id of the person who accepts.
        #[arg(long)]
        actor: String,
        /// Why, for the audit log.
        #[arg(long)]
        note: String,
        /// Profiles, for all their samples, or samples as `profile/kind`.
        #[arg(required = true, value_name = "PROFILE[/KIND]")]
        names: Vec<String>,
    },
    /// Enrol another responder: pin the identity key by which its requests for delegates are believed.
    #[command(
        after_help = "Example (while `serve` does not run; docs/operations/feed.md):\n  sigill-ca enrol-responder --config config/ca.toml --name ocsp2 --identity ocsp2.spki --sha256 HASH --actor op-7 --actor op-9"
    )]
    EnrolResponder(enrol::Enrolment),
    /// Make the last CRL of an authority that ends, as two persons decided: nothing is signed with its key after it.
    #[command(
        after_help = "Example (while `serve` does not run; docs/operations/run.md, *The end of a CA*):\n  sigill-ca last-crl --config config/ca.toml --authority personca1 --actor op-7 --actor op-9 --check\n  sigill-ca last-crl --config config/ca.toml --authority personca1 --actor op-7 --actor op-9"
    )]
    LastCrl(last_crl::LastCrl),
    /// Sign the final OCSP answers of an authority that has its last CRL: they stand for ever, also when its key is destroyed.
    #[command(
        after_help = "Example (while `serve` does not run; docs/operations/run.md, *The end of a CA*):\n  sigill-ca final-answers --config config/ca.toml --authority personca1 --actor op-7 --actor op-9 --delegate-key process-memory\n  sigill-ca final-answers --config config/ca.toml --authority personca1 --check"
    )]
    FinalAnswers(final_answers::FinalAnswers),
    /// The API's own certificates.
    #[command(subcommand, after_help = "Example:\n  sigill-ca tls recover --help")]
    Tls(Tls),
    /// What is asked of ceremonies, and what comes back from them, as signed files.
    #[command(subcommand, after_help = "Example:\n  sigill-ca exchange request --help")]
    Exchange(exchange::Exchange),
    /// Register the outputs of a ceremony, which makes the database where there is none, or the new CRL of an
    /// offline authority.
    #[command(
        after_help = "Examples (while `serve` does not run):\n  sigill-ca import --config config/ca.toml --from ceremony/out/outputs.json\n  sigill-ca import --config config/ca.toml --crl root.crl"
    )]
    Import(imports::ImportArguments),
}

#[derive(Debug, Subcommand)]
enum Tls {
    /// Renew the server's certificate and issue clients' certificates when all have expired.
    ///
    /// Works on this machine, with the PIN of the management CA's token, while sigill-ca is stopped.
    #[command(
        after_help = "Example:\n  sigill-ca tls recover --config config/ca.toml --client operator --csr operator.csr --out tls/operator.pem"
    )]
    Recover(recover::Recover),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.command {
        Command::Serve { config } => serve(config),
        Command::CheckConfig { config } => check_config(config),
        Command::Configuration(command) => command.run().map(|lines| {
            lines.iter().for_each(|line| answer(line));
        }),
        Command::TakeOver { config, json } => take_over(config, *json),
        Command::Tls(Tls::Recover(recover)) => recover.run().map(|lines| {
            lines.iter().for_each(|line| answer(line));
        }),
        Command::EnrolResponder(enrolment) => enrol_responder(enrolment),
        Command::LastCrl(last) => last.run().map(|line| answer(&line)),
        Command::FinalAnswers(answers) => answers.run(&say).map(|line| answer(&line)),
        Command::AcceptCanary { config, actor, note, names } => {
            accept_canaries(config, names, Acceptance { actor, note })
        }
        Command::MakeReceiptKey { config } => make_receipt_key(config),
        Command::ConfirmClock { config, utc } => confirm_clock(config, utc),
        Command::Import(arguments) => arguments.run().map(|line| answer(&line)),
        Command::Exchange(command) => command.run().map(|line| answer(&line)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match error.downcast_ref::<check::Faults>() {
                Some(faults) => faults.iter().for_each(tell_end),
                None => tell_end(&error),
            }
            ExitCode::FAILURE
        }
    }
}

/// Promise 9: one line for each thing that ended the command.
fn tell_end(error: &anyhow::Error) {
    let line = start::line(error);
    tracing::error!(problem.code = start::code(error), "ended: {line}");
    say(&format!("error: {line}"));
}

#[expect(clippy::print_stderr, reason = "the one place where this program speaks to its terminal")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stdout, reason = "the result of a command")]
fn answer(line: &str) {
    println!("{line}");
}

fn check_config(path: &Path) -> anyhow::Result<()> {
    let config = ConfigFile::read(path)?;
    if let Some(error) = statements::nobody_revokes(&config) {
        say(&format!("warning: {}", start::line(&error)));
    }
    let deployment = check::run(&config)?;
    answer(&format!("{}: good, deployment {deployment}", path.display()));
    if config.database.place()?.is_empty()? {
        answer("no database yet: `sigill-ca import` makes it");
    }
    Ok(())
}

fn make_receipt_key(path: &Path) -> anyhow::Result<()> {
    let config = ConfigFile::read(path)?;
    let deployment = wiring::deployment(&config)?;
    let section = config.receipts.context("the configuration has no section [receipts]")?;
    let public = receipts::make_key(&section.key, &deployment.to_string().parse()?)?;
    answer(&format!("{public}  public key of receipts, {}", section.key.display()));
    Ok(())
}

fn confirm_clock(path: &Path, utc: &str) -> anyhow::Result<()> {
    let config = ConfigFile::read(path)?;
    let deployment = wiring::deployment(&config)?;
    let notes = wiring::NoteKeys::open(&config, deployment)?;
    let store = wiring::open_alone(&config, deployment, Create::Never)?;
    // A leaf in a database older than its published log would be another history.
    wiring::compare_with_published(&config, deployment, &notes, store.as_ref())?;
    let last_seen = wiring::last_seen(&config, deployment, &notes, store.as_ref())?;
    let now = confirm::run(store.as_ref(), last_seen, utc)?;
    answer(&format!(
        "{deployment}: the clock is confirmed at {now}; what was recorded before ends at {last_seen}"
    ));
    Ok(())
}

fn accept_canaries(path: &Path, names: &[String], by: Acceptance<'_>) -> anyhow::Result<()> {
    let config = ConfigFile::read(path)?;
    let deployment = wiring::deployment(&config)?;
    let notes = wiring::NoteKeys::open(&config, deployment)?;
    let book = book::read(&config.profiles)?;
    let store = wiring::open_alone(&config, deployment, Create::Never)?;
    wiring::compare_with_published(&config, deployment, &notes, store.as_ref())?;
    let last_seen = wiring::last_seen(&config, deployment, &notes, store.as_ref())?;
    let now = confirm::believed(last_seen, config.clock)?;
    for made in service::canary::accept(store.as_ref(), &book, names, by, now)? {
        let (profile, kind, result) = (made.profile.name, made.kind, made.result);
        answer(&format!("{deployment}: sample {profile}/{kind} comes to {result}: accepted"));
    }
    Ok(())
}

fn enrol_responder(enrolment: &enrol::Enrolment) -> anyhow::Result<()> {
    let enrol::Enrolled { deployment, name, key } = enrolment.run()?;
    let (deployment, key) = (deployment.to_string(), key.to_string());
    if enrolment.json {
        let result = json!({ "deployment": deployment, "responder": name, "spki_sha256": key });
        answer(&result.to_string());
    } else {
        answer(&format!("{deployment}: responder {name} is enrolled with key {key}"));
    }
    Ok(())
}

fn take_over(path: &Path, json: bool) -> anyhow::Result<()> {
    let config = ConfigFile::read(path)?;
    let deployment = wiring::deployment(&config)?;
    let notes = wiring::NoteKeys::open(&config, deployment)?;
    let authorities = authorities::read(&config)?;
    let store = wiring::open_alone(&config, deployment, Create::Never)?;
    let files = Arc::new(wiring::crl_files(&config, deployment, &notes)?);
    if let Some(feed) = read_back::feed(&config, deployment, &notes, &store, &files)? {
        read_back::run(&feed, Comparison::Later)?;
    }
    // In doubt the record of the act gets the time that was seen last: whether the clock is right is
    // asked before anything is signed.
    let last_seen = wiring::last_seen(&config, deployment, &notes, store.as_ref())?;
    let now = clock::Clock::start_after(last_seen, config.clock.longest_stop()).read().now;
    let outcome = takeover::run(&config, deployment, &notes, store.as_ref(), now)?;
    let known = outcome.only_by_serial(&authorities);
    if json {
        let serials: Vec<_> = known
            .iter()
            .map(|one| json!({ "issuer": one.issuer, "authority": one.authority, "serial": one.serial }))
            .collect();
        let result = json!({
            "status_entries": outcome.status.entries,
            "audit_leaves": outcome.leaves,
            "known_only_by_serial": serials,
            "paused_jobs": outcome.paused.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "parked_orders": outcome.parked,
        });
        answer(&result.to_string());
        return Ok(());
    }
    answer(&format!(
        "{} status entries and {} audit leaves were taken over; {} certificates are now known only by their serial",
        outcome.status.entries,
        outcome.leaves,
        known.len()
    ));
    for one in &known {
        answer(&one.line());
    }
    for job in &outcome.paused {
        answer(&format!(
            "  {job} ran and is paused: sigill job show {job}, then resume or cancel it"
        ));
    }
    if outcome.parked > 0 {
        answer(&format!(
            "  {} orders were under way and are parked: sigill order parked lists them once the server runs",
            outcome.parked
        ));
    }
    answer(&format!("next: sigill-ca serve --config {}", path.display()));
    Ok(())
}

fn serve(path: &Path) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SIGILL_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let config = ConfigFile::read(path)?;
    check::loopback(&config.observe)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(Admission::threads(config.api.max_connections))
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(run(config))
}

async fn run(mut config: ConfigFile) -> anyhow::Result<()> {
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
        .install_recorder()
        .context("cannot install metrics")?;
    observe::start_alarms();
    let deployment = wiring::deployment(&config)?;
    let config = tokio::task::spawn_blocking(move || {
        activation::hold(&mut config, deployment).map(|()| config)
    })
    .await??;
    let clients = Arc::new(check::clients(&config, deployment)?);
    management::files::finish(&config.api.certificate, &config.api.key)
        .context("a server certificate that was being renewed cannot be put into place")?;
    let identity =
        Arc::new(ServerIdentity::load(deployment, &config.api.certificate, &config.api.key)?);
    let tls = Arc::new(server_config(Arc::clone(&identity), &config.api)?);
    let following = follow_identity(Arc::clone(&identity), config.api.clone());
    tokio::spawn(vital::task("server certificate", following));
    // Both ports are taken before anything is signed: a second copy stops here.
    let api = bind(config.api.listen).await?;
    let observe = bind(config.observe.listen).await?;

    let wired = {
        let (config, keys) = (config.clone(), clients.keys());
        tokio::task::spawn_blocking(move || wiring::wire(&config, keys, identity)).await??
    };
    let Wired { service, publisher, readiness, feed } = wired;
    readiness.reconciled.store(true, Ordering::Relaxed);
    readiness.signing.store(true, Ordering::Relaxed);
    readiness.storing.store(true, Ordering::Relaxed);
    readiness.clock.store(true, Ordering::Relaxed);
    readiness.tls.store(true, Ordering::Relaxed);
    {
        let (service, clients) = (Arc::clone(&service), config.clients.clone());
        tokio::task::spawn_blocking(move || {
            service.recover()?;
            service.tell_holding()?;
            service.tell_pauses()?;
            service.record_proven_keys()?;
            service.register_profiles()?;
            service.compare_canaries()?;
            service.sync_clients(&clients)
        })
        .await??;
    }
    // Before the first thread that has something to finish: an order to stop that came while nobody heard it
    // would end the program in the middle.
    let order = StopOrder::hear()?;
    let publication = Arc::clone(&service.publication);
    let publishing = publisher.start()?;
    let contradiction = service.outer_hosts.contradiction();
    let pushing = push::start(feed, &publication)?;
    let stop_schedule = Arc::new(AtomicBool::new(false));
    let scheduled = schedule::start(Arc::clone(&service), Arc::clone(&stop_schedule))?;
    let jobs = service::jobs::worker::start(Arc::clone(&service), Arc::clone(&stop_schedule))?;
    let exchange = match &config.exchange {
        Some(section) => {
            let (folder, stop) = (section.folder.clone(), Arc::clone(&stop_schedule));
            Some(exchange::start(Arc::clone(&service), folder, stop)?)
        }
        None => None,
    };

    let (stop, stopped) = watch::channel(false);
    let observing = tokio::spawn({
        let router = observe::router(Arc::clone(&readiness), metrics);
        let mut stopped = stopped.clone();
        vital::task("observe", async move {
            let served = axum::serve(observe, router)
                .with_graceful_shutdown(async move { drop(stopped.changed().await) });
            served.await
        })
    });
    let router = http::router(App {
        service: Arc::clone(&service),
        clients,
        readiness,
        admission: Admission::new(config.api.max_connections),
    });
    tracing::info!(deployment = %deployment, api.listen = %config.api.listen, "sigill-ca is serving");
    let taking = http::tls::serve(api, tls, router, config.api.max_connections, stopped);
    let serving = tokio::spawn(vital::task("api", taking));
    let ended = tokio::select! {
        () = order.given() => Ok(()),
        error = contradicted(contradiction) => Err(error),
    };
    tracing::info!("stopping: running calls finish first");
    stop.send_replace(true);
    serving.await?;
    observing.await??;
    stop_schedule.store(true, Ordering::Relaxed);
    tokio::task::spawn_blocking(move || {
        let schedule = scheduled.join().and_then(|()| jobs.join());
        let schedule = schedule.and(exchange.map_or(Ok(()), std::thread::JoinHandle::join));
        service.record_stop();
        publication.stop();
        let published = publishing.join();
        pushing.stop();
        // Not before: what another node's tree has by then is newer than what is pushed here.
        schedule.and(published.map(Ended::leave))
    })
    .await?
    .map_err(|_| anyhow::anyhow!("a thread of the program had ended before its time"))?;
    ended
}

/// An outer host that was away at the start has what the database has not.
async fn contradicted(mut told: watch::Receiver<Option<String>>) -> anyhow::Error {
    let what = match told.wait_for(Option::is_some).await {
        Ok(what) => what.clone().unwrap_or_default(),
        // Nobody is left who could tell.
        Err(_) => std::future::pending().await,
    };
    let next = "start again: the start says whether `sigill-ca take-over` helps (docs/operations/backup-restore.md)";
    Told::new("outer-host-contradicts", what, next).into()
}

/// Takes a renewed server certificate into use when its files change.
async fn follow_identity(identity: Arc<ServerIdentity>, api: config::ApiSection) {
    let changed = || std::fs::metadata(&api.certificate).and_then(|facts| facts.modified()).ok();
    let mut seen = changed();
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        let now = changed();
        if now.is_none() || now == seen {
            continue;
        }
        match identity.exchange(&api.certificate, &api.key) {
            Ok(()) => {
                seen = now;
                tracing::info!("server certificate exchanged");
            }
            Err(error) => {
                tracing::warn!(error = %error, "renewed server certificate cannot be used; the old one stays");
            }
        }
    }
}

async fn bind(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let what = format!("cannot listen on {address}: is another copy running?");
        let told = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                Told::new("address-in-use", what, "end the other copy, or take another port")
            }
            _ => Told::new("address-refused", what, "correct the address of `listen`"),
        };
        anyhow::Error::new(error).context(told)
    })
}

/// An order to stop: SIGTERM of a supervisor, or SIGINT of a terminal. It is heard from the moment this is made.
struct StopOrder {
    terminate: Signal,
    interrupt: Signal,
}

impl StopOrder {
    fn hear() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?;
        let interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be heard")?;
        Ok(Self { terminate, interrupt })
    }

    async fn given(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
