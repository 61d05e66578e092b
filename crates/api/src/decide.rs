//! The page of one request, for whoever follows a link to it: what is asked for, and yes and no.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::caller::Caller;
use crate::extract::{Form, Path};
use crate::pages::{Page, escape};
use crate::problem::Problem;
use crate::routes::Served;
use crate::sign_in::own_path;
use crate::views::{Answer, RequestView};

#[derive(Deserialize)]
pub(crate) struct Decision {
    answer: String,
    #[serde(default)]
    reason: String,
}

/// Shows a request; whoever is not signed in does that first, and comes back.
pub(crate) async fn page(
    State(served): State<Served>,
    Path(id): Path<String>,
    caller: Result<Caller, Problem>,
) -> Response {
    let path = format!("/requests/{id}");
    let caller = match caller {
        Ok(caller) => caller,
        Err(problem) if problem.is_unauthorized() => {
            return match own_path(&path).filter(|_| served.control.has_provider()) {
                Some(path) => Redirect::to(&format!("/login?return_to={path}")).into_response(),
                None => Redirect::to("/").into_response(),
            };
        }
        Err(problem) => return Page::problem(&problem).into_response(),
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
    let rows = request.rows().into_iter().filter(|(_, value)| !value.is_empty());
    let rows: String = rows.map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escape(&value))).collect();
    // Whoever presses Enter while they write why has not approved.
    let form = match request.state.as_str() {
        "open" => format!(
            "<form method=\"post\" action=\"/requests/{}\"><label>Reason <input name=\"reason\" maxlength=\"500\"></label> \
             <button name=\"answer\" value=\"deny\">Deny</button> <button name=\"answer\" value=\"approve\">Approve</button></form>",
            escape(&request.id)
        ),
        _ => String::new(),
    };
    format!("<dl>{rows}</dl>{form}")
}
