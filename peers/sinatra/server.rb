# A small CI and delivery server on Sinatra and Octokit.rb, after the two guides of GitHub's that Greenlight starts from.
#
# It does what their readers build: a pull request becomes pending and then success, a merge becomes a deployment of the
# merge commit, a deployment is carried out. It is no part of Greenlight; it shows that such a server works against the
# emulated GitHub. Wants GITHUB_API_URL, GITHUB_TOKEN and WEBHOOK_SECRET in the environment, and a port as argument.

require "json"
require "octokit"
require "openssl"
require "sinatra/base"

class Server < Sinatra::Base
  CONTEXT = "peer / sinatra".freeze
  WORTH_TESTING = %w[opened synchronize reopened].freeze

  set :bind, "127.0.0.1"
  set :port, Integer(ARGV.fetch(0))
  set :server, :puma
  set :quiet, true
  set :logging, false
  set :host_authorization, {}
  # Work is done after the answer, in order: GitHub waits ten seconds at most.
  set :work, Queue.new
  set :github, Octokit::Client.new(api_endpoint: ENV.fetch("GITHUB_API_URL"), access_token: ENV.fetch("GITHUB_TOKEN"))

  get "/" do
    "ready"
  end

  post "/event_handler" do
    body = request.body.read
    halt 401, "wrong signature" unless signed?(body, request.env["HTTP_X_HUB_SIGNATURE_256"])
    text = request.media_type == "application/json" ? body : Rack::Utils.parse_query(body)["payload"]
    halt 400, "no payload" unless text
    settings.work << [request.env["HTTP_X_GITHUB_EVENT"], JSON.parse(text)]
    status 202
  end

  helpers do
    def signed?(body, signature)
      digest = OpenSSL::HMAC.hexdigest("SHA256", ENV.fetch("WEBHOOK_SECRET"), body)
      Rack::Utils.secure_compare("sha256=#{digest}", signature.to_s)
    end
  end

  class << self
    def work_forever
      loop do
        event, payload = settings.work.pop
        begin
          take(event, payload)
        rescue Octokit::Error, Faraday::Error => error
          warn "#{event}: #{error.message}"
        end
      end
    end

    def take(event, payload)
      case event
      when "pull_request" then take_pull_request(payload)
      when "deployment" then carry_out(payload)
      when "deployment_status" then puts "#{payload['deployment']['environment']}: #{payload['deployment_status']['state']}"
      end
    end

    def take_pull_request(payload)
      pull = payload["pull_request"]
      if WORTH_TESTING.include?(payload["action"])
        run_tests(pull)
      elsif payload["action"] == "closed" && pull["merged"]
        start_deployment(pull)
      end
    end

    # The base repository gets the status: a fork's pull request is judged where it is going to.
    def run_tests(pull)
      repo = pull["base"]["repo"]["full_name"]
      sha = pull["head"]["sha"]
      settings.github.create_status(repo, sha, "pending", context: CONTEXT, description: "testing")
      settings.github.create_status(repo, sha, "success", context: CONTEXT, description: "tested")
    end

    def start_deployment(pull)
      settings.github.create_deployment(
        pull["base"]["repo"]["full_name"], pull["merge_commit_sha"],
        environment: "production", auto_merge: false, required_contexts: [],
        payload: { environment: "production", deploy_user: pull["user"]["login"] }
      )
    end

    def carry_out(payload)
      deployment = payload["deployment"]
      settings.github.create_deployment_status(deployment["url"], "pending")
      settings.github.create_deployment_status(deployment["url"], "success", environment_url: "http://127.0.0.1/production")
    end
  end
end

Thread.abort_on_exception = true
Thread.new { Server.work_forever }
Server.run!
