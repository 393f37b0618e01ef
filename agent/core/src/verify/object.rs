//! The ARNs of objects in S3, as environment files are named.

use super::CheckOutcome;
use lockstep_manifests::name::is_bucket;

/// The bucket and the key of an object. Otherwise what is to be said: only what no bucket was ever called, or no key,
/// is a failure for certain.
///
/// # Errors
/// The outcome with a sentence.
pub fn object(arn: &str) -> Result<(&str, &str), (CheckOutcome, String)> {
    let mut parts = arn.splitn(6, ':');
    let is_s3 = parts.next() == Some("arn") && parts.next().is_some() && parts.next() == Some("s3");
    let is_of_none = parts.next() == Some("") && parts.next() == Some("");
    let named = parts.next().and_then(|name| name.split_once('/'));
    let (true, true, Some((bucket, key))) = (is_s3, is_of_none, named) else {
        let text = "not checked: it is not the ARN of an object in S3 (arn:aws:s3:::BUCKET/KEY)";
        return Err((CheckOutcome::Skip, text.to_owned()));
    };
    let shown: String = bucket.chars().take(100).flat_map(char::escape_debug).collect();
    // Old buckets may have large letters and underscores.
    let is_old = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if bucket.is_empty() || !bucket.bytes().all(is_old) {
        return Err((CheckOutcome::Fail, format!("`{shown}` is not the name of a bucket")));
    }
    if !is_bucket(bucket) {
        return Err((CheckOutcome::Skip, format!("not checked: `{shown}` is not a bucket's name by today's rules")));
    }
    if key.is_empty() {
        return Err((CheckOutcome::Fail, format!("it names no object in the bucket {bucket}")));
    }
    if key.split('/').any(|part| matches!(part, "." | "..")) {
        return Err((CheckOutcome::Skip, "not checked: its key has `.` or `..` for a part".to_owned()));
    }
    Ok((bucket, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    // H2
    #[test]
    fn only_what_is_an_object_is_asked_for() {
        assert_eq!(object("arn:aws:s3:::shop/a b.env"), Ok(("shop", "a b.env")));
        assert_eq!(object("arn:aws-cn:s3:::shop/a/b.env"), Ok(("shop", "a/b.env")));
        let refused = |arn| object(arn).unwrap_err();
        for (arn, bucket) in [
            ("arn:aws:s3:::127.0.0.1:9443#/x.env", "127.0.0.1:9443#"),
            ("arn:aws:s3:::a@evil.example/x.env", "a@evil.example"),
            ("arn:aws:s3:::evil.example?/x.env", "evil.example?"),
            ("arn:aws:s3:::/x.env", ""),
        ] {
            assert_eq!(refused(arn), (CheckOutcome::Fail, format!("`{bucket}` is not the name of a bucket")), "{arn}");
        }
        for arn in ["arn:aws:s3:::127.0.0.1/x.env", "arn:aws:s3:::Old_Bucket/x.env", "arn:aws:s3:::shop/../x.env", "x"]
        {
            assert_eq!(refused(arn).0, CheckOutcome::Skip, "{arn}");
        }
        assert_eq!(refused("arn:aws:s3:::shop/").0, CheckOutcome::Fail);
    }
}
