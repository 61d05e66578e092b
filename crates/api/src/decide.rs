//! The page of one request, for whoever follows a link to it: what is asked for, and yes and no.

use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::caller::Caller;
use crate::pages::{Page, escape};
use crate::problem::Problem;
use crate::routes::Served;
use crate::sign_in::own_path;
use crate::views::{Answer, AskedView, RequestView};

#[derive(Deserialize)]
pub(crate) struct Decision {
    answer: String,
    #[serde(default)]
    reason: String,
}

/// Shows a request; whoever is not signed in does that first, and comes back.
pub(crate) async fn page(State(served): State<Served>, Path(id): Path<String>, caller: Option<Caller>) -> Response {
    let path = format!("/requests/{id}");
    let Some(caller) = caller else {
        return match own_path(&path).filter(|_| served.control.has_provider()) {
            Some(path) => Redirect::to(&format!("/login?return_to={path}")).into_response(),
            None => Redirect::to("/").into_response(),
        };
    };
    match served.control.request(&caller, &id).await {
        Ok(request) => Page::new("Request", shown(&request)).into_response(),
        Err(problem) => Page::problem(&problem).into_response(),
    }
}

/// Takes an answer, and shows the request as it stands then.
pub(crate) async fn answer(
    State(served): State<Served>,
    Path(id): Path<String>,
    caller: Result<Caller, Problem>,
    Form(decision): Form<Decision>,
) -> Response {
    let approve = match decision.answer.as_str() {
        "approve" => true,
        "deny" => false,
        other => return Page::problem(&Problem::bad_request(format!("`{other}` is no answer"))).into_response(),
    };
    let answer = Answer { reason: decision.reason, ..Answer::default() };
    let outcome = match caller {
        Ok(caller) => served.control.answer(&caller, &id, approve, answer).await,
        Err(problem) => Err(problem),
    };
    match outcome {
        Ok(_) => Redirect::to(&format!("/requests/{id}")).into_response(),
        Err(problem) => Page::problem(&problem).into_response(),
    }
}

fn shown(request: &RequestView) -> String {
    let needs = request.needs.iter().map(|(group, members)| match members {
        1 => group.clone(),
        _ => format!("{members} of {group}"),
    });
    let mut rows = vec![
        ("State", request.state.clone()),
        ("Who asks", request.identity.clone()),
        ("On behalf of", request.on_behalf_of.clone().unwrap_or_default()),
        ("Where", request.targets.join(", ")),
    ];
    match &request.asked {
        AskedView::Operation { task_reason, binds, exact, .. } => {
            rows.push(("Task", task_reason.clone().unwrap_or_default()));
            rows.push((
                if *exact { "Statement" } else { "Statement, as evidence keeps it" },
                request.statement.clone(),
            ));
            let bind = |(place, bind): (usize, &String)| ("Value", format!("${} = {bind}", place + 1));
            rows.extend(binds.iter().enumerate().map(bind));
        }
        AskedView::Task { ttl_secs, asked_by } => {
            rows.push(("Asks for", format!("a task of {ttl_secs} s")));
            rows.push(("Why", request.statement.clone()));
            rows.push(("Asked by", asked_by.clone()));
        }
    }
    rows.extend(request.accesses.iter().map(|access| ("Access", access.clone())));
    rows.push(("Held because", request.reasons.join("; ")));
    rows.push(("Needs", needs.collect::<Vec<_>>().join(" and ")));
    let approved: Vec<&str> = request.approvals.values().flatten().map(String::as_str).collect();
    rows.push(("Approved by", approved.join(", ")));
    rows.push(("Answer", request.answer_reason.clone().unwrap_or_default()));
    rows.push(("Expires", request.expires.clone()));
    let rows: String = rows
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escape(&value)))
        .collect();
    let form = match request.state.as_str() {
        "open" => format!(
            "<form method=\"post\" action=\"/requests/{}\"><label>Reason <input name=\"reason\" maxlength=\"500\"></label> \
             <button name=\"answer\" value=\"approve\">Approve</button> <button name=\"answer\" value=\"deny\">Deny</button></form>",
            escape(&request.id)
        ),
        _ => String::new(),
    };
    format!("<dl>{rows}</dl>{form}")
}
