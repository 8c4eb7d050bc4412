"""Drives the emulated GitHub with PyPI's PyGithub, which insists that every URL in an answer is on the host it asked.

Wants GITHUB_API_URL, GITHUB_TOKEN, APP_ID and APP_KEY_FILE in the environment.
"""

import os
import pathlib
import time

from github import Auth, Github, GithubException, GithubIntegration, UnknownObjectException
from receiver import Receiver
from story import conclude, equal, step, until

API = os.environ["GITHUB_API_URL"]
SECRET = "a secret of the PyGithub peer"
CONTEXT = "peer / pygithub"

github = Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"]), base_url=API, retry=None, seconds_between_writes=0)
receiver = Receiver(SECRET)
name = f"pygithub-{int(time.time() * 1000):x}"


def refused(status, action):
    """Fails unless `action` is refused with `status`; returns the refusal."""
    try:
        action()
    except GithubException as refusal:
        equal(refusal.status, status)
        return refusal
    raise AssertionError(f"expected a {status}, but it went through")


@step("the token's user")
def user():
    found = github.get_user()
    assert found.login
    return found


@step("a repository is created with a first commit")
def repo():
    made = user.create_repo(name, auto_init=True)
    equal(made.full_name, f"{user.login}/{name}")
    equal(made.default_branch, "main")
    assert made.permissions.admin
    return made


@step("what is not there is a 404")
def _():
    try:
        github.get_repo(f"{user.login}/{name}-missing")
    except UnknownObjectException as refusal:
        equal(refusal.data["message"], "Not Found")
        return
    raise AssertionError("it was found")


@step("the tip of main")
def base():
    sha = repo.get_git_ref("heads/main").object.sha
    equal(repo.get_branch("main").commit.sha, sha)
    return sha


@step("a webhook with form bodies is made and pinged")
def hook():
    config = {"url": receiver.url, "content_type": "form", "secret": SECRET}
    made = repo.create_hook("web", config, ["deployment", "deployment_status", "pull_request", "status"], active=True)
    ping = until("the ping", lambda: receiver.find("ping"))
    assert ping["verified"] and ping["is_form"], "the ping is a signed form"
    equal([it.id for it in repo.get_hooks()], [made.id])
    return made


@step("a branch gets a commit")
def head():
    repo.create_git_ref("refs/heads/topic", base)
    made = repo.create_file("docs/greeting.txt", "greet", "a greeting\n", branch="topic")
    read = repo.get_contents("docs/greeting.txt", ref="topic")
    equal(read.decoded_content, b"a greeting\n")
    comparison = repo.compare("main", "topic")
    equal((comparison.status, comparison.ahead_by), ("ahead", 1))
    equal([file.filename for file in comparison.files], ["docs/greeting.txt"])
    return made["commit"].sha


@step("a pull request is opened, and the signed webhook tells of it")
def pull():
    made = repo.create_pull(base="main", head="topic", title="Greet", body="Hello.")
    equal(made.head.sha, head)
    event = until("the event", lambda: receiver.find("pull_request", lambda it: it["action"] == "opened"))
    assert event["verified"], "the delivery is signed"
    equal(event["payload"]["pull_request"]["head"]["sha"], head)
    return made


@step("whether it can be merged is known after a while")
def _():
    assert until("mergeable", lambda: repo.get_pull(pull.number).mergeable)
    equal([file.filename for file in pull.get_files()], ["docs/greeting.txt"])
    equal([commit.sha for commit in pull.get_commits()], [head])


@step("statuses make up the combined one")
def _():
    commit = repo.get_commit(head)
    equal(commit.get_combined_status().state, "pending")
    commit.create_status("pending", description="on its way", context=CONTEXT)
    commit.create_status("success", target_url="http://127.0.0.1/runs/1", description="all good", context=CONTEXT)
    until("the success", lambda: commit.get_combined_status().state == "success")
    equal([status.state for status in commit.get_statuses()], ["success", "pending"])
    until("its event", lambda: receiver.find("status", lambda it: it["state"] == "success" and it["sha"] == head))


@step("a state that does not exist is refused")
def _():
    refused(422, lambda: repo.get_commit(head).create_status("green", context=CONTEXT))


@step("the pull request is talked about")
def _():
    comment = pull.create_issue_comment("Looks good.")
    comment.create_reaction("+1")
    equal([it.body for it in pull.get_issue_comments()], ["Looks good."])
    pull.create_review(body="Read it.", event="COMMENT")
    equal([it.state for it in pull.get_reviews()], ["COMMENTED"])
    equal(repo.get_collaborator_permission(user.login), "admin")


@step("labels are put on and taken off")
def _():
    pull.add_to_labels("ready")
    equal([label.name for label in pull.get_labels()], ["ready"])
    pull.remove_from_labels("ready")
    equal(list(pull.get_labels()), [])


@step("the merge is guarded by the head's sha")
def merged():
    refused(409, lambda: pull.merge(sha=base))
    done = pull.merge(sha=head, merge_method="squash")
    assert done.merged
    event = until("the closed event", lambda: receiver.find("pull_request", lambda it: it["action"] == "closed"))
    equal(event["payload"]["pull_request"]["merge_commit_sha"], done.sha)
    equal(repo.get_branch("main").commit.sha, done.sha)
    again = repo.get_pull(pull.number)
    assert again.merged and again.merge_commit_sha == done.sha
    return done.sha


@step("a deployment goes through its states")
def _():
    made = repo.create_deployment(
        merged, auto_merge=False, required_contexts=[], environment="production", payload={"who": "pygithub"}
    )
    event = until("the event", lambda: receiver.find("deployment", lambda it: it["deployment"]["id"] == made.id))
    equal(event["payload"]["deployment"]["payload"], {"who": "pygithub"})
    assert made.production_environment
    for state in ("queued", "in_progress", "success"):
        made.create_status(state, environment_url="http://127.0.0.1/production")
    equal([status.state for status in made.get_statuses()], ["success", "in_progress", "queued"])
    equal([it.id for it in repo.get_deployments(environment="production")], [made.id])
    ended = lambda it: it["deployment_status"]["state"] == "success"
    until("the last state's event", lambda: receiver.find("deployment_status", ended))


@step("a deployment whose contexts are not green is refused")
def _():
    refused(409, lambda: repo.create_deployment(merged, auto_merge=False, required_contexts=["peer / missing"]))


@step("a delivery that failed is delivered again under its own id")
def _():
    receiver.fail_next("status")
    repo.get_commit(merged).create_status("success", context="peer / redelivered")
    lost = until("the failing delivery", lambda: next((d for d in receiver.received if d["answered"] == 500), None))

    def logged(redelivery):
        known = (it for it in repo.get_hook_deliveries(hook.id) if it.guid == lost["id"])
        return next((it for it in known if it.redelivery == redelivery), None)

    failed = until("its line in the log", lambda: logged(False))
    equal((failed.status_code, failed.event), (500, "status"))
    equal(repo.get_hook_delivery(hook.id, failed.id).request.payload["sha"], merged)
    path = f"{repo.url}/hooks/{hook.id}/deliveries/{failed.id}/attempts"
    status, _, _ = repo.requester.requestJson("POST", path)
    equal(status, 202)
    repeats = lambda: [d for d in receiver.received if d["id"] == lost["id"] and d["answered"] == 202]
    assert until("the redelivery", repeats)[0]["verified"]
    equal(until("its line in the log", lambda: logged(True)).status_code, 202)


@step("lists come in pages")
def _():
    for branch in ("one", "two", "three"):
        repo.create_git_ref(f"refs/heads/{branch}", base)
    paged = Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"]), base_url=API, per_page=2, seconds_between_writes=0)
    branches = paged.get_repo(repo.full_name).get_branches()
    equal(sorted(branch.name for branch in branches), ["main", "one", "three", "topic", "two"])


@step("how much may still be asked is told")
def _():
    try:
        limit = github.get_rate_limit().resources.core
    except GithubException as refusal:
        # GitHub Enterprise Server has no limits unless somebody sets them.
        assert API.endswith("/api/v3") and refusal.status == 404, refusal
        return
    assert limit.remaining <= limit.limit


@step("checks are for Apps only")
def _():
    try:
        repo.create_check_run("unit", head)
    except GithubException as refusal:
        assert refusal.status in (403, 404), refusal.status
        return
    raise AssertionError("a personal token made a check run")


@step("the App finds its installation")
def installed():
    key = pathlib.Path(os.environ["APP_KEY_FILE"]).read_text()
    app = GithubIntegration(auth=Auth.AppAuth(os.environ["APP_ID"], key), base_url=API, seconds_between_writes=0)
    equal(str(app.get_app().id), os.environ["APP_ID"])
    installation = app.get_repo_installation(user.login, name)
    return installation.get_github_for_installation()


@step("a check run goes from queued to completed, with annotations")
def _():
    mine = installed.get_repo(repo.full_name)
    run = mine.create_check_run("unit", head, status="queued", external_id="7")
    run.edit(status="in_progress")
    annotation = {"path": "docs/greeting.txt", "start_line": 1, "end_line": 1, "annotation_level": "warning", "message": "short"}
    run.edit(
        status="completed",
        conclusion="failure",
        output={"title": "One warning", "summary": "It is short.", "annotations": [annotation]},
    )
    found = list(repo.get_commit(head).get_check_runs(check_name="unit"))
    equal([it.conclusion for it in found], ["failure"])
    equal([it.message for it in found[0].get_annotations()], ["short"])
    suites = list(repo.get_commit(head).get_check_suites())
    assert any(suite.conclusion == "failure" for suite in suites), suites


conclude()
