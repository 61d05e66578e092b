//! As much of a browser as signing in takes: cookies, redirects and forms.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use crate::http::{self, Door};

/// More redirects than any honest sign-in has.
const REDIRECTS_MAX: usize = 12;

/// A browser with its cookies, which shows one page.
#[derive(Default)]
pub struct Browser {
    /// By authority and name.
    cookies: BTreeMap<(String, String), String>,
    /// The page that it shows.
    pub page: Page,
}

/// A page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Where it is.
    pub url: String,
    /// The status that it came with.
    pub status: u16,
    /// Head and body.
    pub text: String,
}

impl Page {
    /// Action, and names and values of the first form.
    fn form(&self) -> Result<(String, Vec<(String, String)>)> {
        let (_, form) = self.text.split_once("<form").with_context(|| format!("no form: {}", self.text))?;
        let (head, rest) = form.split_once('>').context("a form has a head")?;
        let (body, _) = rest.split_once("</form>").context("a form ends")?;
        let inputs = body.split("<input").skip(1).filter_map(|input| {
            let input = input.split('>').next()?;
            Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default()))
        });
        Ok((attribute(head, "action").unwrap_or_else(|| self.url.clone()), inputs.collect()))
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(rest.split('"').next()?.replace("&amp;", "&"))
}

fn authority(url: &str) -> Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").with_context(|| format!("`{url}` is not http://"))?;
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    Ok((authority, rest.strip_prefix(authority).filter(|path| !path.is_empty()).unwrap_or("/")))
}

impl Browser {
    /// Goes to a page, as if it was typed.
    pub fn open(&mut self, url: &str) -> Result<&Page> {
        self.page = Page::default();
        self.follow("GET", url.into(), String::new())
    }

    /// Sends the page's form, with these fields filled in.
    pub fn submit(&mut self, fields: &[(&str, &str)]) -> Result<&Page> {
        let (action, mut form) = self.page.form()?;
        form.retain(|(name, _)| !fields.iter().any(|(filled, _)| filled == name));
        form.extend(fields.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = self.absolute(&action)?;
        self.follow("POST", url, body)
    }

    /// Sends a form that a script shows, to a path of the page's host.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<&Page> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let url = self.absolute(path)?;
        self.follow("POST", url, body)
    }

    /// The cookie of this name that a host has set.
    pub fn cookie(&self, url: &str, name: &str) -> Option<&str> {
        let key = (authority(url).ok()?.0.to_string(), name.to_string());
        self.cookies.get(&key).map(String::as_str)
    }

    /// Puts a cookie in.
    pub fn set_cookie(&mut self, url: &str, name: &str, value: &str) -> Result<()> {
        self.cookies.insert((authority(url)?.0.into(), name.into()), value.into());
        Ok(())
    }

    fn absolute(&self, location: &str) -> Result<String> {
        if location.starts_with("http://") {
            return Ok(location.into());
        }
        Ok(format!("http://{}{location}", authority(&self.page.url)?.0))
    }

    fn follow(&mut self, method: &str, url: String, body: String) -> Result<&Page> {
        let (mut method, mut url, mut body) = (method.to_string(), url, body);
        for _ in 0..REDIRECTS_MAX {
            let location = self.send(&method, &url, &body)?;
            match location {
                None => return Ok(&self.page),
                Some(location) => {
                    (method, url, body) = ("GET".into(), self.absolute(&location)?, String::new());
                }
            }
        }
        bail!("too many redirects, the last to {url}")
    }

    /// One request; where it is redirected to, if it is.
    fn send(&mut self, method: &str, url: &str, body: &str) -> Result<Option<String>> {
        let (host, path) = authority(url)?;
        let site = match authority(&self.page.url) {
            Err(_) => "none",
            Ok((from, _)) if from == host => "same-origin",
            Ok(_) => "cross-site",
        };
        let own = self.cookies.iter().filter(|((authority, _), _)| authority == host);
        let cookies: Vec<String> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let headers = [http::FORM, ("accept", "text/html"), ("sec-fetch-site", site), ("cookie", cookies.as_str())];
        let base = format!("http://{host}");
        let answer = http::call(Door::Web(&base), method, path, &headers, body)?;
        for cookie in answer.headers("set-cookie") {
            let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).context("a cookie")?;
            let key = (host.to_string(), name.to_string());
            if value.is_empty() || cookie.contains("Max-Age=0;") {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.into());
            }
        }
        let is_redirect = (300..400).contains(&answer.status);
        let location = answer.headers("location").next().filter(|_| is_redirect);
        let onward = answer.headers("refresh").find_map(|refresh| refresh.strip_prefix("0; url="));
        let location = location.or(onward).map(Into::into);
        let text = format!("{}\r\n\r\n{}", answer.head, answer.body);
        self.page = Page { url: url.into(), status: answer.status, text };
        Ok(location)
    }
}
