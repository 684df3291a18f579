# METADATA
# title: Who may do what
# description: |
#   Default deny. Two entry points:
#
#   allow    may input.subject do input.action on input.resource?
#   visible  where may input.subject do input.action? For lists: {"all", "scopes", "within"}. A row is visible if its path
#            meets "scopes" (or "all" holds) and, where "within" is not empty, meets "within" too.
#
#   The two must agree for every row, or lists show what single reads refuse.
#
#   input.subject   {kind, id, name, admin, grants: {scope: strongest role}, ranks: {scope: rank of that role},
#                    token: {id, role, rank, scopes}, execution}
#   input.action    "noun:verb"
#   input.resource  {kind, id, scopes: path from the nearest project or organization up to the root}; not for visible
#
#   data.slipway.actions maps an action to the weakest role that may do it, or to
#     "any"       every logged-in user and service account
#     "run"       the execution's own run token and nobody else, administrators included: logs are what the script said
#     "consumer"  a consumer of the thing's organization; else as "read"
#   data.slipway.token_roles says which role a token must allow for an "any" action; without an entry, any token will do.
#   data.slipway.needs is the rank of each: read 1, write 2, owner 3, admin 4. A token without a limit has rank 9, a role
#   that is none has rank 0.
#
#   Each request pays for this once or twice: "allow" looks into data as little as it can, and calls no functions.
package slipway.authz

import rego.v1

default allow := false

default visible := {"all": false, "scopes": [], "within": []}

# A run token or a consumer's keys are no login, whatever grants they come with.
logged_in if input.subject.kind == "user"

logged_in if input.subject.kind == "service_account"

# By a role on the thing or above it. There is no need for "any" and "run".
allow if {
	need := data.slipway.needs[data.slipway.actions[input.action]]
	input.subject.token.rank >= need
	some scope in input.resource.scopes
	input.subject.ranks[scope] >= need
	logged_in
	token_covers
}

# By being an administrator.
allow if {
	input.subject.admin == true
	input.subject.token.rank >= data.slipway.needs[data.slipway.actions[input.action]]
	logged_in
	token_covers
}

token_covers if input.subject.token.scopes == []

token_covers if {
	some scope in input.resource.scopes
	scope in input.subject.token.scopes
}

# For everybody who is logged in.
allow if {
	data.slipway.actions[input.action] == "any"
	logged_in
	input.subject.token.rank >= any_need
	any_covers
}

any_need := data.slipway.needs[object.get(data.slipway.token_roles, input.action, "read")]

any_covers if token_covers

# A token for one project may still ask who it is, but changes nothing outside of its project.
any_covers if {
	any_need == data.slipway.needs.read
	input.resource.scopes == []
}

# A run writes its own logs. A run without an id owns nothing.
allow if {
	input.subject.kind == "run"
	data.slipway.actions[input.action] == "run"
	input.subject.execution != ""
	input.subject.execution == input.resource.id
}

# A consumer's grants are the organizations that it belongs to; the role does not matter.
allow if {
	input.subject.kind == "consumer"
	data.slipway.actions[input.action] == "consumer"
	some scope in input.resource.scopes
	input.subject.grants[scope]
}

visible := {"all": true, "scopes": [], "within": input.subject.token.scopes} if {
	logged_in
	everywhere
}

visible := {"all": false, "scopes": held, "within": input.subject.token.scopes} if {
	input.subject.admin == false
	logged_in
	input.subject.token.rank >= data.slipway.needs[data.slipway.actions[input.action]]
}

visible := {"all": false, "scopes": object.keys(input.subject.grants), "within": []} if {
	input.subject.kind == "consumer"
	data.slipway.actions[input.action] == "consumer"
}

everywhere if {
	input.subject.admin == true
	input.subject.token.rank >= data.slipway.needs[data.slipway.actions[input.action]]
}

everywhere if {
	data.slipway.actions[input.action] == "any"
	input.subject.token.rank >= any_need
}

held contains scope if {
	need := data.slipway.needs[data.slipway.actions[input.action]]
	some scope, rank in input.subject.ranks
	rank >= need
}
