//! A model and its tokenizer, ready to be asked.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use gatehouse_mask::{NotLooked, Recognized, Recognizer};
use tokenizers::{Encoding, Tokenizer, TruncationParams};
use tract_onnx::prelude::{
    Datum as _, Framework as _, InferenceFact, InferenceModelExt as _, IntoRunnable as _, IntoTValue as _, TValue,
    Tensor, TractError, TractResult, TypedRunnableModel, tvec,
};
use tract_onnx::tract_hir::internal::{ShapeFactoid, ToDim as _};

use crate::Labels;
use crate::spans::joined;

/// How many short texts are remembered in which nothing stands, and how long those are, in bytes: columns repeat their values. Of
/// others nobody learns by the time that it takes whether they were seen before.
const REMEMBERED_MAX: usize = 10_000;
const REMEMBERED_BYTES_MAX: usize = 256;

/// What is asked of a text besides its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Tokens,
    /// Which of them count: all, for none are there to fill up.
    Attention,
    /// Which of two texts they are of.
    Types,
}

impl Input {
    fn of(name: &str) -> Option<Self> {
        match name {
            "input_ids" => Some(Self::Tokens),
            "attention_mask" => Some(Self::Attention),
            "token_type_ids" => Some(Self::Types),
            _ => None,
        }
    }
}

/// A model, and how it is used.
#[derive(Clone)]
pub struct Settings<'b> {
    /// The model, in ONNX: `input_ids`, and `attention_mask` and `token_type_ids` where it has them, of one text and any number
    /// of tokens, to a score for each label of each token.
    pub model: &'b [u8],
    /// Its `tokenizer.json`.
    pub tokenizer: &'b [u8],
    /// What its outputs stand for.
    pub labels: Labels,
    /// How many tokens are looked at together.
    pub tokens_max: usize,
    /// How sure the model must be, from 0 to 1.
    pub score_min: f32,
    /// Longer texts are not looked at, in bytes.
    pub value_bytes_max: usize,
}

/// Why a model cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The model.
    #[error("the model cannot be used: {0}")]
    Model(String),
    /// The tokenizer.
    #[error("the tokenizer cannot be used: {0}")]
    Tokenizer(String),
}

/// A recognizer by a model.
pub struct Model {
    tokenizer: Tokenizer,
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<Input>,
    labels: Labels,
    score_min: f32,
    value_bytes_max: usize,
    remembered: Mutex<HashSet<Box<str>>>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("inputs", &self.inputs).field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl Model {
    /// Loads a model and tries it.
    ///
    /// # Errors
    /// [`LoadError`], with what is wrong.
    pub fn load(settings: Settings<'_>) -> Result<Self, LoadError> {
        let Settings { model, tokenizer, labels, tokens_max, score_min, value_bytes_max } = settings;
        let tokenizer = read_tokenizer(tokenizer, tokens_max).map_err(LoadError::Tokenizer)?;
        let (plan, inputs) = read_model(model).map_err(LoadError::Model)?;
        let remembered = Mutex::default();
        let this = Self { tokenizer, plan, inputs, labels, score_min, value_bytes_max, remembered };
        // Whatever it makes of that, it must be able to, also of as much as is looked at together.
        for text in ["Ada".to_string(), "a ".repeat(tokens_max)] {
            this.looked_at(&text).map_err(LoadError::Model)?;
        }
        Ok(this)
    }

    fn looked_at(&self, text: &str) -> Result<Vec<Recognized>, String> {
        // A model that asks for more than it has makes its library panic.
        let looked = std::panic::catch_unwind(AssertUnwindSafe(|| self.look(text)));
        looked.unwrap_or_else(|_| Err("it asks for what it does not have".into()))
    }

    fn look(&self, text: &str) -> Result<Vec<Recognized>, String> {
        let encoding = self.tokenizer.encode(text, true).map_err(|error| error.to_string())?;
        let mut tokens = Vec::new();
        for window in std::iter::once(&encoding).chain(encoding.get_overflowing()) {
            self.window(window, &mut tokens).map_err(|error| format!("{error:#}"))?;
        }
        Ok(joined(text, tokens))
    }

    /// What the tokens of a window are.
    fn window(&self, window: &Encoding, tokens: &mut Vec<Recognized>) -> TractResult<()> {
        let count = window.len();
        if count == 0 {
            return Ok(());
        }
        let tensor = |values: &[u32]| {
            let values: Vec<i64> = values.iter().map(|value| i64::from(*value)).collect();
            Tensor::from_shape(&[1, count], &values).map(Tensor::into_tvalue)
        };
        let mut inputs = tvec!();
        for input in &self.inputs {
            inputs.push(match input {
                Input::Tokens => tensor(window.get_ids())?,
                Input::Attention => tensor(window.get_attention_mask())?,
                Input::Types => tensor(window.get_type_ids())?,
            });
        }
        let outputs: Vec<TValue> = self.plan.run(inputs)?.into_vec();
        let scores = outputs.first().ok_or_else(|| TractError::msg("it has no output"))?;
        let scores = scores.cast_to::<f32>()?;
        let scores = scores.try_as_plain_ram()?.as_slice::<f32>()?;
        if scores.len() != count * self.labels.count() {
            return Err(TractError::msg("it has not one output for each label of each token"));
        }
        let special = window.get_special_tokens_mask();
        for (place, scores) in scores.chunks(self.labels.count()).enumerate() {
            let is_special = special.get(place).is_some_and(|special| *special == 1);
            let Some(&(start, end)) = window.get_offsets().get(place).filter(|_| !is_special) else { continue };
            let likeliest = self.labels.likeliest(scores);
            let (detector, score) = likeliest.ok_or_else(|| TractError::msg("a score is no number"))?;
            if score >= self.score_min && score > 0.0 && start < end {
                tokens.push(Recognized { start, end, detector });
            }
        }
        Ok(())
    }
}

fn read_tokenizer(bytes: &[u8], tokens_max: usize) -> Result<Tokenizer, String> {
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
    // What stands at the end of one window stands in the middle of the next.
    let truncation = TruncationParams { max_length: tokens_max, stride: tokens_max / 4, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(|error| error.to_string())?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

fn read_model(mut bytes: &[u8]) -> Result<(Arc<TypedRunnableModel>, Vec<Input>), String> {
    let mut model = tract_onnx::onnx().model_for_read(&mut bytes).map_err(|error| format!("{error:#}"))?;
    let outlets = model.input_outlets().map_err(|error| format!("{error:#}"))?.to_vec();
    let mut inputs = Vec::with_capacity(outlets.len());
    // As many tokens as a text has.
    let count = model.symbols.sym("tokens").to_dim();
    for (place, outlet) in outlets.iter().enumerate() {
        let name = model.node(outlet.node).name.clone();
        let input = Input::of(&name).ok_or_else(|| format!("nobody knows what its input `{name}` wants"))?;
        inputs.push(input);
        let shape: ShapeFactoid = [1.to_dim(), count.clone()].into_iter().collect();
        let fact = InferenceFact::dt_shape(i64::datum_type(), shape);
        model.set_input_fact(place, fact).map_err(|error| format!("{error:#}"))?;
    }
    let plan = model.into_optimized().and_then(|model| model.into_runnable());
    Ok((plan.map_err(|error| format!("{error:#}"))?, inputs))
}

impl Recognizer for Model {
    fn recognize(&self, text: &str) -> Result<Vec<Recognized>, NotLooked> {
        if !text.chars().any(char::is_alphabetic) {
            return Ok(Vec::new());
        }
        if text.len() > self.value_bytes_max {
            return Err(NotLooked);
        }
        let remembers = text.len() <= REMEMBERED_BYTES_MAX;
        let remembered = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembers && remembered().contains(text) {
            return Ok(Vec::new());
        }
        let found = self.looked_at(text).map_err(|_| NotLooked)?;
        if remembers && found.is_empty() {
            let mut remembered = remembered();
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
            remembered.insert(text.into());
        }
        Ok(found)
    }
}
