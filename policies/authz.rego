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
#   input.subject   {kind, id, name, admin, grants: {scope: strongest role}, token: {id, role, scopes}, execution}
#   input.action    "noun:verb"
#   input.resource  {kind, id, scopes: path from the nearest project or organization up to the root}; not for visible
#
#   data.slipway.actions maps an action to the weakest role that may do it, or to
#     "any"       every logged-in user and service account
#     "run"       the execution's own run token and nobody else, administrators included: logs are what the script said
#     "consumer"  a consumer of the thing's organization; else as "read"
#   data.slipway.token_roles says which role a token must allow for an "any" action; without an entry, any token will do.
package slipway.authz

import rego.v1

default allow := false

default visible := {"all": false, "scopes": [], "within": []}

level := data.slipway.actions[input.action]

# need is the rank of the weakest role that will do. Undefined for "any" and "run".
need := data.slipway.ranks[level]

need := data.slipway.ranks.read if level == "consumer"

# A run token or a consumer's keys are no login, whatever grants they come with.
logged_in if input.subject.kind == "user"

logged_in if input.subject.kind == "service_account"

# By role.
allow if {
	logged_in
	token_allows(need)
	role_reaches
	token_covers
}

role_reaches if input.subject.admin

role_reaches if {
	some scope in input.resource.scopes
	data.slipway.ranks[input.subject.grants[scope]] >= need
}

token_allows(_) if input.subject.token.role == ""

token_allows(rank) if data.slipway.ranks[input.subject.token.role] >= rank

token_covers if count(input.subject.token.scopes) == 0

token_covers if {
	some scope in input.resource.scopes
	scope in input.subject.token.scopes
}

# For everybody who is logged in.
allow if {
	level == "any"
	logged_in
	token_allows(any_need)
	any_covers
}

any_role := object.get(data.slipway.token_roles, input.action, "read")

any_need := data.slipway.ranks[any_role]

any_covers if token_covers

# A token for one project may still ask who it is, but changes nothing outside of its project.
any_covers if {
	any_role == "read"
	count(input.resource.scopes) == 0
}

# A run writes its own logs. A run without an id owns nothing.
allow if {
	level == "run"
	input.subject.kind == "run"
	input.subject.execution != ""
	input.subject.execution == input.resource.id
}

# A consumer's grants are the organizations that it belongs to; the role does not matter.
allow if {
	level == "consumer"
	input.subject.kind == "consumer"
	some scope in input.resource.scopes
	input.subject.grants[scope]
}

visible := {"all": true, "scopes": [], "within": input.subject.token.scopes} if {
	logged_in
	everywhere
}

visible := {"all": false, "scopes": held, "within": input.subject.token.scopes} if {
	logged_in
	not input.subject.admin
	token_allows(need)
}

visible := {"all": false, "scopes": object.keys(input.subject.grants), "within": []} if {
	level == "consumer"
	input.subject.kind == "consumer"
}

everywhere if {
	input.subject.admin
	token_allows(need)
}

everywhere if {
	level == "any"
	token_allows(any_need)
}

held contains scope if {
	some scope, role in input.subject.grants
	data.slipway.ranks[role] >= need
}
