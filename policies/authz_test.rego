package slipway.authz_test

import rego.v1

import data.slipway.authz

user(grants) := {
	"kind": "user", "id": "u1", "name": "ann", "admin": false, "execution": "",
	"grants": grants, "ranks": {scope: rank | some scope, role in grants; rank := object.get(ranks, role, 0)},
	"token": {"id": "", "role": "", "rank": 9, "scopes": []},
}

ranks := {"": 9, "read": 1, "write": 2, "owner": 3, "admin": 4}

limited(subject, role, scopes) := object.union(subject, {"token": {"id": "t1", "role": role, "rank": object.get(ranks, role, 0), "scopes": scopes}})

admin := object.union(user({}), {"admin": true})

project := {"kind": "project", "id": "p1", "scopes": ["p1", "org", "root"]}

installation := {"kind": "installation", "id": "", "scopes": []}

can(subject, action, resource) if authz.allow with input as {"subject": subject, "action": action, "resource": resource}

seen(subject, action) := v if {
	v := authz.visible with input as {"subject": subject, "action": action}
}

test_nothing_is_allowed_without_input if {
	not authz.allow with input as {}
}

test_nothing_is_visible_without_input if {
	nowhere := {"all": false, "scopes": [], "within": []}
	authz.visible == nowhere with input as {}
}

test_unknown_action_is_denied_to_admin if not can(admin, "no-such:action", project)

test_anonymous_is_denied if {
	nobody := object.union(user({"p1": "owner"}), {"kind": "anonymous"})
	not can(nobody, "project:read", project)
	not can(nobody, "project:create", project)
	seen(nobody, "project:read") == {"all": false, "scopes": [], "within": []}
}

test_reader if {
	can(user({"p1": "read"}), "build:read", project)
	not can(user({"p1": "read"}), "build:trigger", project)
	not can(user({"p1": "read"}), "build:create", project)
}

test_writer if {
	can(user({"p1": "write"}), "build:read", project)
	can(user({"p1": "write"}), "build:trigger", project)
	can(user({"p1": "write"}), "environment:read-full", project)
	not can(user({"p1": "write"}), "build:create", project)
}

test_owner if {
	can(user({"p1": "owner"}), "build:create", project)
	not can(user({"p1": "owner"}), "user:create", project)
}

test_service_account_is_like_a_user if {
	can(object.union(user({"p1": "write"}), {"kind": "service_account"}), "build:trigger", project)
}

test_grants_are_inherited_downward if {
	can(user({"root": "write"}), "build:trigger", project)
	can(user({"org": "write"}), "build:trigger", project)
}

test_the_strongest_grant_on_the_path_counts if can(user({"p1": "read", "root": "owner"}), "build:create", project)

test_a_grant_elsewhere_is_nothing if not can(user({"p2": "owner"}), "build:read", project)

test_an_unknown_role_is_nothing if not can(user({"p1": "superuser"}), "build:read", project)

test_things_of_the_installation_are_for_admins if {
	can(admin, "user:create", installation)
	not can(user({"root": "owner"}), "user:create", installation)
}

test_S5_token_role_is_a_ceiling if {
	can(limited(user({"p1": "owner"}), "read", []), "build:read", project)
	not can(limited(user({"p1": "owner"}), "read", []), "build:trigger", project)
	can(limited(user({"p1": "owner"}), "write", []), "build:trigger", project)
	not can(limited(user({"p1": "read"}), "owner", []), "build:trigger", project)
	not can(limited(user({"p1": "owner"}), "bogus", []), "build:read", project)
}

test_S5_token_ceiling_holds_for_admins if {
	can(limited(admin, "read", []), "build:read", project)
	not can(limited(admin, "owner", []), "user:create", installation)
	can(limited(admin, "admin", []), "user:create", installation)
}

test_S5_token_scopes_narrow if {
	can(limited(user({"root": "owner"}), "", ["p1"]), "build:create", project)
	can(limited(user({"root": "owner"}), "", ["org"]), "build:create", project)
	not can(limited(user({"root": "owner"}), "", ["p2"]), "build:read", project)
	not can(limited(admin, "", ["p2"]), "build:read", project)
	not can(limited(admin, "", ["p1"]), "user:create", installation)
}

test_any_user_may_add_a_project if {
	can(user({}), "project:create", {"kind": "project", "id": "", "scopes": ["org", "root"]})
	can(limited(user({}), "owner", []), "project:create", project)
	not can(limited(user({}), "write", []), "project:create", project)
	not can(limited(user({}), "", ["p2"]), "project:create", project)
	can(limited(user({}), "", ["org"]), "project:create", project)
}

test_any_token_may_ask_who_it_is if {
	can(limited(user({}), "read", ["p1"]), "user:read-self", installation)
	not can(limited(user({}), "", ["p1"]), "user:update-self", installation)
}

run(id) := object.union(user({"p1": "owner"}), {"kind": "run", "execution": id})

test_S5_a_run_writes_its_own_logs_and_nothing_else if {
	can(run("e1"), "log:write", {"kind": "execution", "id": "e1", "scopes": ["p1", "org"]})
	not can(run("e1"), "log:write", {"kind": "execution", "id": "e2", "scopes": ["p1", "org"]})
	not can(run(""), "log:write", {"kind": "execution", "id": "", "scopes": ["p1", "org"]})
	not can(run("e1"), "log:read", {"kind": "execution", "id": "e1", "scopes": ["p1", "org"]})
	not can(run("e1"), "project:create", project)
	seen(run("e1"), "build:read") == {"all": false, "scopes": [], "within": []}
}

test_logs_are_not_written_by_people if {
	not can(admin, "log:write", {"kind": "execution", "id": "e1", "scopes": ["p1"]})
	not can(user({"p1": "owner"}), "log:write", {"kind": "execution", "id": "", "scopes": ["p1"]})
}

consumer := object.union(user({"org": "read"}), {"kind": "consumer"})

test_a_consumer_installs_and_nothing_else if {
	can(consumer, "package:install", {"kind": "package", "id": "7", "scopes": ["org", "root"]})
	not can(consumer, "package:install", {"kind": "package", "id": "7", "scopes": ["other"]})
	not can(consumer, "package:read", {"kind": "package", "id": "7", "scopes": ["org"]})
	not can(consumer, "consumer:read", {"kind": "consumer", "id": "7", "scopes": ["org"]})
	seen(consumer, "package:install") == {"all": false, "scopes": {"org"}, "within": []}
	seen(consumer, "package:read") == {"all": false, "scopes": [], "within": []}
}

test_a_reader_installs_too if can(user({"org": "read"}), "package:install", {"kind": "package", "id": "7", "scopes": ["org"]})

test_S6_nobody_grants_what_he_has_not if {
	can(user({"p1": "owner"}), "grant:add-owner", project)
	not can(user({"p1": "write"}), "grant:add-read", project)
	not can(user({"p1": "owner"}), "grant:add-admin", project)
	not can(limited(user({"p1": "owner"}), "write", []), "grant:add-read", project)
}

test_visible_of_a_reader if {
	seen(user({"p1": "read", "p2": "owner"}), "build:read") == {"all": false, "scopes": {"p1", "p2"}, "within": []}
	seen(user({"p1": "read", "p2": "owner"}), "build:trigger") == {"all": false, "scopes": {"p2"}, "within": []}
}

test_visible_of_an_admin if {
	seen(admin, "build:read") == {"all": true, "scopes": [], "within": []}
	seen(limited(admin, "", ["p1"]), "build:read") == {"all": true, "scopes": [], "within": ["p1"]}
	seen(limited(admin, "read", []), "build:trigger") == {"all": false, "scopes": [], "within": []}
}

test_visible_of_a_limited_token if {
	seen(limited(user({"root": "read"}), "", ["p1"]), "build:read") == {"all": false, "scopes": {"root"}, "within": ["p1"]}
	seen(limited(user({"root": "owner"}), "read", []), "build:trigger") == {"all": false, "scopes": [], "within": []}
}

test_visible_of_an_action_for_all if {
	seen(user({}), "project:create") == {"all": true, "scopes": [], "within": []}
	seen(limited(user({}), "read", []), "project:create") == {"all": false, "scopes": [], "within": []}
}
