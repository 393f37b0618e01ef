//! The operations of a registry.

use serde_json::{Map, Value, json};

use crate::error::{Answer, ApiError};
use crate::ids::{base64, digest_of};
use crate::outside::Call;
use crate::outside::ecr::{Image, MANIFEST, NewImage, Repository, made::made_up};
use crate::place::Place;

const PAGES: (&str, &str) = ("nextToken", "maxResults");

/// Runs one operation.
pub(crate) fn run(operation: &str, mut call: Call<'_>) -> Answer {
    let account = call.request.text("registryId").unwrap_or(&call.place.account);
    let place = Place::new(account, &call.place.region);
    if matches!(operation, "DescribeImages" | "BatchGetImage") {
        make_up(&mut call, &place);
    }
    match operation {
        "CreateRepository" => create_repository(&mut call, &place),
        "DescribeRepositories" => describe_repositories(&mut call, &place),
        "PutImage" => put_image(&mut call, &place),
        "DescribeImages" => describe_images(&mut call, &place),
        "BatchGetImage" => batch_get_image(&mut call, &place),
        "ListImages" => list_images(&mut call, &place),
        "BatchDeleteImage" => batch_delete_image(&mut call, &place),
        "GetDownloadUrlForLayer" => download_url(&mut call, &place),
        "GetAuthorizationToken" => Ok(authorization(&call)),
        other => Err(ApiError::unsupported(format!("The sandbox does not know ecr:{other}."))),
    }
}

/// Where images exist as soon as they are named, the tags of a request are there before they are looked up.
fn make_up(call: &mut Call<'_>, place: &Place) {
    let (request, now) = (call.request, call.now);
    let name = request.text("repositoryName").unwrap_or_default();
    if !call.outside.images.are_made_up() || name.is_empty() {
        return;
    }
    let ids = request.list("imageIds").into_iter().flatten();
    let registry = call.outside.registries.entry(place.clone()).or_default();
    for tag in ids.filter(|id| id["imageDigest"].is_null()).filter_map(|id| id["imageTag"].as_str()) {
        if registry.find(name, Some(tag), None).is_none() {
            registry.push(name, tag, &made_up(name, tag), &NewImage::default(), now);
        }
    }
}

fn create_repository(call: &mut Call<'_>, place: &Place) -> Answer {
    let name = call.request.text("repositoryName").unwrap_or_default();
    let mutability = call.request.text("imageTagMutability").unwrap_or("MUTABLE");
    let registry = call.outside.registries.entry(place.clone()).or_default();
    if !registry.create(name, mutability, call.now) {
        return Err(ApiError::new(
            "RepositoryAlreadyExistsException",
            format!("The repository with name '{name}' already exists in the registry with id '{}'", place.account),
        ));
    }
    Ok(json!({ "repository": registry.repositories[name].wire(place, name) }))
}

fn not_found(place: &Place, name: &str) -> ApiError {
    ApiError::new(
        "RepositoryNotFoundException",
        format!("The repository with name '{name}' does not exist in the registry with id '{}'", place.account),
    )
}

fn repository<'a>(call: &'a mut Call<'_>, place: &Place) -> Result<(&'a mut Repository, String), ApiError> {
    let name = call.request.text("repositoryName").unwrap_or_default().to_owned();
    call.outside
        .registries
        .get_mut(place)
        .and_then(|registry| registry.repositories.get_mut(&name))
        .map(|repository| (repository, name.clone()))
        .ok_or_else(|| not_found(place, &name))
}

fn describe_repositories(call: &mut Call<'_>, place: &Place) -> Answer {
    let names = call.request.texts("repositoryNames");
    let registry = call.outside.registries.entry(place.clone()).or_default();
    if let Some(missing) = names.iter().find(|name| !registry.repositories.contains_key(**name)) {
        return Err(not_found(place, missing));
    }
    let all = registry
        .repositories
        .iter()
        .filter(|(name, _)| names.is_empty() || names.contains(&name.as_str()))
        .map(|(name, repository)| (name.clone(), repository.wire(place, name)))
        .collect();
    let (items, next) = call.page(all, PAGES, 100, "InvalidParameterException")?;
    Ok(with_token(json!({ "repositories": items }), next))
}

fn put_image(call: &mut Call<'_>, place: &Place) -> Answer {
    let (request, now) = (call.request, call.now);
    let manifest = request.text("imageManifest").unwrap_or_default().to_owned();
    let tag = request.text("imageTag");
    let digest = digest_of(&manifest);
    if request.text("imageDigest").is_some_and(|given| given != digest) {
        return Err(ApiError::new(
            "ImageDigestDoesNotMatchException",
            "The specified image digest does not match the digest that Amazon ECR calculated for the image.",
        ));
    }
    let media_type = request.text("imageManifestMediaType").map(str::to_owned).unwrap_or_else(|| {
        let inside = serde_json::from_str::<Value>(&manifest).ok();
        inside.as_ref().and_then(|inside| inside["mediaType"].as_str()).unwrap_or(MANIFEST).to_owned()
    });
    let account = place.account.clone();
    let (repository, name) = repository(call, place)?;
    let holder = tag.and_then(|tag| repository.tagged(tag)).map(|(holder, _)| holder.clone());
    if holder.as_deref() == Some(&digest) {
        return Err(ApiError::new(
            "ImageAlreadyExistsException",
            format!(
                "Image with digest '{digest}' and tag '{}' already exists in the repository with name '{name}' in registry with id '{account}'",
                tag.unwrap_or_default()
            ),
        ));
    }
    if holder.is_some() && repository.mutability == "IMMUTABLE" {
        return Err(ApiError::new(
            "ImageTagAlreadyExistsException",
            format!(
                "The image tag '{}' already exists in the '{name}' repository and cannot be overwritten because the tag is immutable.",
                tag.unwrap_or_default()
            ),
        ));
    }
    repository.insert(&digest, manifest.clone(), media_type.clone(), tag, now);
    call.outside.announce(place, &name, &digest, tag, now);
    let image_id =
        tag.map_or_else(|| json!({ "imageDigest": digest }), |tag| json!({ "imageDigest": digest, "imageTag": tag }));
    Ok(json!({ "image": {
        "registryId": account, "repositoryName": name, "imageId": image_id,
        "imageManifest": manifest, "imageManifestMediaType": media_type,
    }}))
}

/// One entry of `imageIds`, looked up.
fn resolve<'a>(repository: &'a Repository, id: &Value) -> Option<(&'a String, &'a Image)> {
    match (id["imageDigest"].as_str(), id["imageTag"].as_str()) {
        (Some(digest), tag) => {
            let found = repository.images.get_key_value(digest)?;
            tag.is_none_or(|tag| found.1.tags.contains(tag)).then_some(found)
        }
        (None, Some(tag)) => repository.tagged(tag),
        (None, None) => None,
    }
}

fn describe_images(call: &mut Call<'_>, place: &Place) -> Answer {
    let request = call.request;
    let wanted = request.list("imageIds");
    let status = request.get("filter").and_then(|filter| filter["tagStatus"].as_str()).unwrap_or("ANY").to_owned();
    let (repository, name) = repository(call, place)?;
    let all: Vec<(String, Value)> = match wanted {
        Some(ids) => {
            let mut found = Vec::new();
            for id in ids {
                let Some((digest, image)) = resolve(repository, id) else {
                    let part = |key: &str| id[key].as_str().unwrap_or("null");
                    return Err(ApiError::new(
                        "ImageNotFoundException",
                        format!(
                            "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name '{name}' in the registry with id '{}'",
                            part("imageDigest"),
                            part("imageTag"),
                            place.account
                        ),
                    ));
                };
                found.push((digest.clone(), image.describe(&place.account, &name, digest)));
            }
            found.sort_by(|a, b| a.0.cmp(&b.0));
            found.dedup_by(|a, b| a.0 == b.0);
            found
        }
        None => {
            let mut all: Vec<_> = repository
                .images
                .iter()
                .filter(|(_, image)| matches_status(image, &status))
                .map(|(digest, image)| (digest.clone(), image.describe(&place.account, &name, digest)))
                .collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        }
    };
    let (items, next) = call.page(all, PAGES, 100, "InvalidParameterException")?;
    Ok(with_token(json!({ "imageDetails": items }), next))
}

fn matches_status(image: &Image, status: &str) -> bool {
    match status {
        "TAGGED" => !image.tags.is_empty(),
        "UNTAGGED" => image.tags.is_empty(),
        _ => true,
    }
}

fn failure(id: &Value) -> Value {
    json!({ "imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found" })
}

fn batch_get_image(call: &mut Call<'_>, place: &Place) -> Answer {
    let ids = call.request.list("imageIds").cloned().unwrap_or_default();
    let (repository, name) = repository(call, place)?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in &ids {
        match resolve(repository, id) {
            Some((digest, image)) => {
                let mut image_id = Map::from_iter([("imageDigest".to_owned(), json!(digest))]);
                if let Some(tag) = id.get("imageTag") {
                    image_id.insert("imageTag".to_owned(), tag.clone());
                }
                images.push(json!({
                    "registryId": place.account, "repositoryName": name, "imageId": image_id,
                    "imageManifest": image.manifest, "imageManifestMediaType": image.media_type,
                }));
            }
            None => failures.push(failure(id)),
        }
    }
    Ok(json!({ "images": images, "failures": failures }))
}

fn list_images(call: &mut Call<'_>, place: &Place) -> Answer {
    let status = call.request.get("filter").and_then(|filter| filter["tagStatus"].as_str()).unwrap_or("ANY").to_owned();
    let (repository, _) = repository(call, place)?;
    let mut all = Vec::new();
    for (digest, image) in repository.images.iter().filter(|(_, image)| matches_status(image, &status)) {
        if image.tags.is_empty() {
            all.push((digest.clone(), json!({ "imageDigest": digest })));
        }
        for tag in &image.tags {
            all.push((format!("{digest} {tag}"), json!({ "imageDigest": digest, "imageTag": tag })));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let (items, next) = call.page(all, PAGES, 100, "InvalidParameterException")?;
    Ok(with_token(json!({ "imageIds": items }), next))
}

fn batch_delete_image(call: &mut Call<'_>, place: &Place) -> Answer {
    let ids = call.request.list("imageIds").cloned().unwrap_or_default();
    let (repository, _) = repository(call, place)?;
    let (mut removed, mut failures) = (Vec::new(), Vec::new());
    for id in &ids {
        let Some(digest) = resolve(repository, id).map(|(digest, _)| digest.clone()) else {
            failures.push(failure(id));
            continue;
        };
        match (id["imageTag"].as_str(), id["imageDigest"].as_str()) {
            // A tag alone removes the tag, and the image with its last tag.
            (Some(tag), None) => {
                let image = &mut repository.images[&digest];
                image.tags.remove(tag);
                if image.tags.is_empty() {
                    repository.images.shift_remove(&digest);
                }
            }
            _ => {
                repository.images.shift_remove(&digest);
            }
        }
        let mut gone = id.clone();
        gone["imageDigest"] = json!(digest);
        removed.push(gone);
    }
    Ok(json!({ "imageIds": removed, "failures": failures }))
}

/// The address of a blob, which the sandbox itself serves.
fn download_url(call: &mut Call<'_>, place: &Place) -> Answer {
    let digest = call.request.text("layerDigest").unwrap_or_default();
    let (repository, name) = repository(call, place)?;
    if !repository.blobs.contains_key(digest) {
        return Err(ApiError::new(
            "LayersNotFoundException",
            format!(
                "The layer with digest '{digest}' does not exist in the repository with name '{name}' in the registry with id '{}'",
                place.account
            ),
        ));
    }
    let endpoint = &call.outside.endpoint;
    let url = format!("{endpoint}/blobs/{}/{}/{digest}/{name}", place.account, place.region);
    Ok(json!({ "downloadUrl": url, "layerDigest": digest }))
}

fn authorization(call: &Call<'_>) -> Value {
    let ids = call.request.texts("registryIds");
    let accounts = if ids.is_empty() { vec![call.place.account.as_str()] } else { ids };
    let expires = call.now.plus(std::time::Duration::from_secs(12 * 3600));
    let data: Vec<Value> = accounts
        .iter()
        .map(|account| {
            json!({
                "authorizationToken": base64(format!("AWS:sandbox-{account}").as_bytes()),
                "expiresAt": expires.wire(),
                "proxyEndpoint": format!("https://{account}.dkr.ecr.{}.amazonaws.com", call.place.region),
            })
        })
        .collect();
    json!({ "authorizationData": data })
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(token) = next {
        answer["nextToken"] = json!(token);
    }
    answer
}
