//! Whether an image has the platform that the task asks for.

use crate::aws::Image;
use lockstep_core::verify::CheckOutcome;
use lockstep_manifests::updates::Platform;

/// What is to be said of an image that is there.
pub(super) fn judge(image: &Image, wanted: Option<&Platform>) -> (CheckOutcome, String) {
    let name = ToString::to_string;
    match (&image.platforms, wanted) {
        (_, None) => (CheckOutcome::Ok, "the image exists".to_owned()),
        (Err(reason), Some(wanted)) => {
            (CheckOutcome::Skip, format!("the image exists; whether it has {} is not known: {reason}", name(wanted)))
        }
        (Ok(platforms), Some(wanted)) if platforms.contains(wanted) => {
            (CheckOutcome::Ok, format!("the image exists, with {}", name(wanted)))
        }
        (Ok(platforms), Some(wanted)) => {
            let has: Vec<String> = platforms.iter().map(name).collect();
            let has = if has.is_empty() { "none that is known".to_owned() } else { has.join(", ") };
            (CheckOutcome::Fail, format!("the image has no {}; it has {has}", name(wanted)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_core::images::platform_of;
    use serde_json::json;

    #[test]
    fn the_platform_is_the_tasks_and_must_be_in_the_image() {
        let fargate = json!({"requiresCompatibilities": ["FARGATE"]});
        let amd = Platform { os: "linux".into(), architecture: "amd64".into() };
        let arm = Platform { architecture: "arm64".into(), ..amd.clone() };
        assert_eq!(platform_of(&fargate), Some(amd.clone()));
        assert_eq!(platform_of(&json!({"runtimePlatform": {"cpuArchitecture": "ARM64"}})), Some(arm.clone()));
        assert_eq!(platform_of(&json!({})), None);
        let image = Image {
            platforms: Ok(vec![amd.clone()]),
            labels: Default::default(),
            parts: Vec::new(),
            artifact: None,
            failed: false,
        };
        assert_eq!(judge(&image, Some(&amd)).0, CheckOutcome::Ok);
        assert_eq!(
            judge(&image, Some(&arm)),
            (CheckOutcome::Fail, "the image has no linux/arm64; it has linux/amd64".into())
        );
        assert_eq!(
            judge(
                &Image {
                    platforms: Err("x".into()),
                    labels: Default::default(),
                    parts: Vec::new(),
                    artifact: None,
                    failed: false
                },
                Some(&arm)
            )
            .0,
            CheckOutcome::Skip
        );
    }
}
