//! The one comment of a key on a pull request. A mark that nobody sees finds it again.

use std::sync::Arc;

use greenlight_core::command::MARK;
use greenlight_core::effect::{Answer, Outcome};
use greenlight_core::id::{CommentId, PullNumber};
use serde_json::json;

use super::Try;
use super::ending::{Writing, not_read_back};
use crate::client::{CallError, Request};
use crate::shape::CommentShape;

/// Longest text of a comment, in characters.
const BODY_LENGTH_MAX: usize = 65_000;

impl Try<'_> {
    pub(super) async fn comment(&self, pull: PullNumber, mark: &str, body: &str, id: Option<CommentId>) -> Outcome {
        let written = self.write_comment(pull, mark, body, id).await;
        written.unwrap_or_else(|error| Writing { tried: self.tried }.failed(error))
    }

    async fn write_comment(
        &self,
        pull: PullNumber,
        mark: &str,
        body: &str,
        known: Option<CommentId>,
    ) -> Result<Outcome, CallError> {
        let mark = format!("{MARK}{mark} -->");
        let text: String = body.chars().take(BODY_LENGTH_MAX).chain("\n\n".chars()).chain(mark.chars()).collect();
        let mut known = known;
        if self.confirm && known.is_none() {
            match self.comment_made_before(pull, &mark).await {
                Ok(found) => known = found,
                Err(error) => return Ok(not_read_back(&error)),
            }
        }
        if let Some(id) = known {
            let path = self.path(&format!("/issues/comments/{id}"))?;
            match self.client.call(self.on(), &Request::patch(path, json!({ "body": text }))).await {
                Ok(_) => return Ok(Outcome::Done(Answer::Comment(id))),
                // Somebody deleted it, or it is another's with our mark in it: ours is to be written.
                Err(CallError::NotFound { .. } | CallError::Forbidden { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let path = self.path(&format!("/issues/{pull}/comments"))?;
        let answer = self.client.call(self.on(), &Request::post(path, json!({ "body": text }))).await?;
        let made: CommentShape = answer.json()?;
        Ok(Outcome::Done(Answer::Comment(CommentId(made.id))))
    }

    async fn comment_made_before(&self, pull: PullNumber, mark: &str) -> Result<Option<CommentId>, CallError> {
        let path = self.path(&format!("/issues/{pull}/comments?per_page=100"))?;
        let comments: Vec<CommentShape> = self.client.list(self.on(), &path, None).await?;
        let is_marked = |body: &Arc<str>| body.trim_end().ends_with(mark);
        let found = comments.iter().find(|comment| comment.body.as_ref().is_some_and(is_marked));
        Ok(found.map(|comment| CommentId(comment.id)))
    }
}
