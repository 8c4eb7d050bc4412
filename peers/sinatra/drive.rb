# Drives the emulated GitHub with Octokit.rb, and the Sinatra server beside it with GitHub's webhooks: once as JSON and
# once as a form. Then a delivery is lost on its way and delivered again through the API.
#
# Wants GITHUB_API_URL, GITHUB_TOKEN and EMULATOR_URL in the environment.

require "json"
require "net/http"
require "octokit"
require "rbconfig"
require "securerandom"
require "socket"

DEADLINE_SECONDS = 20
PAUSE_SECONDS = 0.05
CONTEXT = "peer / sinatra".freeze
SECRET = SecureRandom.hex(16)
EVENTS = %w[deployment deployment_status pull_request status].freeze

$stdout.sync = true
$passed = 0

# Runs one step and prints its name; a step that fails ends the program.
def step(name)
  result = yield
  $passed += 1
  puts "ok      #{name}"
  result
rescue StandardError => error
  puts "FAILED  #{name}", error.full_message(highlight: false)
  puts "test result: FAILED. #{$passed} passed; 1 failed;"
  exit 1
end

def until_there(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + DEADLINE_SECONDS
  while Process.clock_gettime(Process::CLOCK_MONOTONIC) < deadline
    found = yield
    return found if found

    sleep PAUSE_SECONDS
  end
  raise "#{what} did not come within #{DEADLINE_SECONDS} s"
end

def equal(found, expected)
  raise "found #{found.inspect}, expected #{expected.inspect}" unless found == expected
end

def free_port
  TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
end

# Starts the server and returns where it takes events.
def start_server
  port = free_port
  environment = { "WEBHOOK_SECRET" => SECRET, "RACK_ENV" => "production" }
  pid = Process.spawn(environment, RbConfig.ruby, File.join(__dir__, "server.rb"), port.to_s, out: File::NULL)
  at_exit { Process.kill("TERM", pid) && Process.wait(pid) }
  until_there("the server") { Net::HTTP.get(URI("http://127.0.0.1:#{port}/")) rescue nil }
  "http://127.0.0.1:#{port}/event_handler"
end

# One repository whose webhooks go to the server.
class Story
  attr_reader :repo

  def initialize(github, url, content_type)
    @github = github
    @url = url
    @content_type = content_type
  end

  def prepare
    name = "sinatra-#{@content_type}-#{SecureRandom.hex(4)}"
    @repo = @github.create_repository(name, auto_init: true).full_name
    config = { url: @url, content_type: @content_type, secret: SECRET }
    @hook = @github.create_hook(@repo, "web", config, events: EVENTS, active: true).id
    until_there("the ping to be answered") { delivery("ping", 202) }
  end

  def open_pull(topic)
    base = @github.ref(@repo, "heads/main").object.sha
    @github.create_ref(@repo, "heads/#{topic}", base)
    @github.create_contents(@repo, "#{topic}.txt", "add #{topic}", "text\n", branch: topic)
    @github.create_pull_request(@repo, "main", topic, "Add #{topic}", "Please.")
  end

  # Newest first, as GitHub lists them.
  def states(sha)
    @github.statuses(@repo, sha).select { |status| status.context == CONTEXT }.map(&:state)
  end

  def merge(pull)
    until_there("mergeable") { @github.pull_request(@repo, pull.number).mergeable }
    @github.merge_pull_request(@repo, pull.number, "", sha: pull.head.sha)
  end

  def deployment(sha)
    @github.deployments(@repo, sha: sha).first
  end

  def deployment_states(sha)
    found = deployment(sha)
    found ? @github.deployment_statuses(found.url).map(&:state) : []
  end

  def deliveries
    @github.get("#{Octokit::Repository.path(@repo)}/hooks/#{@hook}/deliveries", per_page: 100)
  end

  def delivery(event, code)
    deliveries.find { |delivery| delivery.event == event && delivery.status_code == code }
  end

  def redeliver(id)
    @github.post("#{Octokit::Repository.path(@repo)}/hooks/#{@hook}/deliveries/#{id}/attempts")
    @github.last_response.status
  end
end

# Loses the next delivery of `event` on its way: GitHub's log has it as failed, the server never sees it.
def lose_next(event)
  rule = JSON.generate(fault: "webhook_lost", event: event, times: 1)
  uri = URI("#{ENV.fetch('EMULATOR_URL')}/_emulator/faults")
  answer = Net::HTTP.post(uri, rule, "Content-Type" => "application/json")
  raise "the fault was not taken: #{answer.code} #{answer.body}" unless answer.is_a?(Net::HTTPSuccess)
end

github = Octokit::Client.new(api_endpoint: ENV.fetch("GITHUB_API_URL"), access_token: ENV.fetch("GITHUB_TOKEN"))
url = step("the server is up") { start_server }

step("an event that nobody signed is refused") do
  answer = Net::HTTP.post(URI(url), "{}", "Content-Type" => "application/json", "X-GitHub-Event" => "ping")
  equal(answer.code, "401")
end

%w[json form].each do |content_type|
  story = Story.new(github, url, content_type)
  step("#{content_type}: a repository whose webhooks reach the server") { story.prepare }

  pull = step("#{content_type}: a pull request becomes pending and then success") do
    opened = story.open_pull("first")
    # What was written becomes visible a little late, and not always in order.
    until_there("pending and success") { story.states(opened.head.sha) == %w[success pending] }
    equal(github.combined_status(story.repo, opened.head.sha).state, "success")
    opened
  end

  step("#{content_type}: the merge is deployed from the base repository at the merge commit") do
    sha = story.merge(pull).sha
    until_there("the deployment's success") { story.deployment_states(sha) == %w[success pending] }
    deployment = story.deployment(sha)
    equal(deployment.environment, "production")
    equal(deployment.payload.to_h, { environment: "production", deploy_user: pull.user.login })
  end

  step("#{content_type}: a delivery that is lost is delivered again, and the work is done") do
    lose_next("deployment")
    second = story.open_pull("second")
    sha = story.merge(second).sha
    until_there("the deployment") { story.deployment(sha) }
    lost = until_there("the failed delivery") do
      story.deliveries.find { |it| it.event == "deployment" && it.status != "OK" && !it.redelivery }
    end
    equal(story.deployment_states(sha), [])
    equal(story.redeliver(lost.id), 202)
    until_there("the deployment's success") { story.deployment_states(sha).first == "success" }
    again = story.deliveries.find { |it| it.guid == lost.guid && it.redelivery }
    equal(again&.status_code, 202)
  end
end

puts "test result: ok. #{$passed} passed; 0 failed;"
