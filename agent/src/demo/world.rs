//! The world that the sample repository needs: two accounts in the sandbox, with clusters, images and parameters.

use super::repository::DemoRepository;
use lockstep_sandbox::{Behaviour, ClockMode, Control, NewImage, Options, Sandbox};
use std::{path::Path, time::Duration};

/// The account of `staging`; the agent's own.
pub(crate) const STAGING_ACCOUNT: &str = "111111111111";
/// The account of `prod` and `prod-us`.
pub(crate) const PROD_ACCOUNT: &str = "222222222222";
/// The region of `staging` and `prod`.
pub(crate) const REGION: &str = "eu-central-1";
/// The region of `prod-us`.
pub(crate) const US_REGION: &str = "us-east-1";

/// (account, region, cluster) of the environments.
const PLACES: [(&str, &str, &str); 3] =
    [(STAGING_ACCOUNT, REGION, "staging"), (PROD_ACCOUNT, REGION, "prod"), (PROD_ACCOUNT, US_REGION, "prod")];

/// Images of the shop, with every tag that the sample or the story names.
const IMAGES: &[(&str, &[&str])] = &[
    ("storefront", &["1.8.2", "1.9.0"]),
    ("checkout", &["3.2.1"]),
    ("orders-worker", &["2.11.0"]),
    ("notifications", &["0.9.4"]),
];

/// The target group of the storefront, as the end of its ARN.
const TARGET_GROUP: &str = "storefront/50dc6c495c0c9188";

/// The services that write logs to a group of their own.
const LOGGING: [&str; 4] = ["storefront", "checkout", "orders-worker", "notifications"];

/// The image that is pushed while the agent runs, and the pins file of the policy that takes it.
pub(crate) const PUSHED: (&str, &str) = ("storefront", "1.10.0");
pub(crate) const PUSHED_PINS: &str = "services/storefront/staging.pins.yaml";
/// The queue that ECR's events of the staging account go to.
const QUEUE: &str = "lockstep-images";

/// The image that crashes.
pub(crate) const BROKEN: (&str, &str) = ("checkout", "3.3.0");

/// A sandbox with everything in it.
pub(crate) struct World {
    sandbox: Sandbox,
}

impl World {
    /// Starts the sandbox on a free loopback port.
    pub(crate) async fn start(speed: f64) -> std::io::Result<Self> {
        let options = Options {
            clock: ClockMode::Speed(speed),
            default_account: STAGING_ACCOUNT.to_owned(),
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await?;
        seed(&sandbox.control());
        Ok(Self { sandbox })
    }

    /// What to set as `AWS_ENDPOINT_URL`.
    pub(crate) fn endpoint(&self) -> String {
        self.sandbox.endpoint_url()
    }

    /// The sandbox's own controls.
    pub(crate) fn control(&self) -> Control {
        self.sandbox.control()
    }

    /// The URL of the queue with ECR's events.
    pub(crate) fn queue(&self) -> String {
        let control = self.control();
        control.deliver_ecr_events(STAGING_ACCOUNT, REGION, QUEUE);
        control.create_queue(STAGING_ACCOUNT, REGION, QUEUE)
    }

    /// Pushes a new version of the storefront to the staging account. Answers its digest.
    pub(crate) fn push(&self) -> String {
        let labels = [
            ("org.opencontainers.image.revision", "4f0c2a91be"),
            ("org.opencontainers.image.source", "https://git.example.com/shop/storefront"),
        ];
        let image = NewImage {
            architectures: vec!["arm64".to_owned()],
            labels: labels.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
            ..NewImage::default()
        };
        self.control().push_image_with(STAGING_ACCOUNT, REGION, PUSHED.0, PUSHED.1, &image)
    }

    /// Stops the sandbox.
    pub(crate) async fn shutdown(self) {
        self.sandbox.shutdown().await;
    }
}

/// Puts everything into a sandbox that the sample repository needs.
pub(crate) fn seed(control: &Control) {
    for (account, region, cluster) in PLACES {
        control.create_cluster(account, region, cluster);
        control.set_container_instances(account, region, cluster, 3);
        for (name, kind, value) in [
            ("/network/private-subnets", "StringList", "subnet-0a1b2c3d,subnet-4e5f6a7b"),
            ("/network/service-security-group", "String", "sg-0123456789abcdef0"),
            ("/checkout/database-url", "SecureString", "postgres://sandbox.invalid/checkout"),
        ] {
            control.put_parameter(account, region, name, kind, value);
        }
        control.put_secret(account, region, "checkout/stripe", "sandbox");
        let group = control.create_target_group(account, region, TARGET_GROUP);
        control.create_listener(account, region, "shop", 443, &[(&group, 1)]);
        for service in LOGGING {
            control.create_log_group(account, region, &format!("/shop/{service}"));
        }
        // Some services run on ARM, some elsewhere.
        let architectures = ["amd64", "arm64"].map(str::to_owned).to_vec();
        let image = NewImage { architectures, ..NewImage::default() };
        for (repository, tags) in IMAGES {
            for tag in *tags {
                control.push_image_with(account, region, repository, tag, &image);
            }
        }
        let crash = Behaviour::crash(1, Duration::from_secs(2));
        control.push_image(account, region, BROKEN.0, BROKEN.1, crash);
    }
}

/// The agent's own file for the demo.
pub(crate) fn agent_file(repository: &DemoRepository, directory: &Path, queue: &str) -> String {
    format!(
        "# The agent's own file, as the demo wrote it.\n\
         stateDirectory: {state}\n\
         listen: 127.0.0.1:0\n\
         interval: 500ms\n\
         apiShare: 1\n\
         images: {{ interval: 2s, quiet: 500ms, queues: [\"{queue}\"] }}\n\
         sources:\n\
         \x20 - id: shop\n\
         \x20   repository: {repository}\n\
         \x20   branch: main\n\
         \x20   allow:\n\
         \x20     clusters: [staging, prod]\n\
         \x20     ssm: [\"/network/*\"]\n\
         \x20     secrets: [\"checkout/*\"]\n\
         accounts:\n\
         \x20 \"{PROD_ACCOUNT}\": {{ role: \"arn:aws:iam::{PROD_ACCOUNT}:role/lockstep\" }}\n",
        state = directory.join("state").display(),
        repository = repository.path().display(),
    )
}
