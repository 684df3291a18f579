// Package policies decides who may do what. The rules are Rego (embedded, default deny, replaceable); this package
// holds them, their data, their tests and the small engine that evaluates them.
package policies

// Kinds of subjects.
const (
	KindAnonymous      = "anonymous"       // no credential: sees what public rows show to everybody
	KindUser           = "user"            // a person
	KindServiceAccount = "service_account" // a program
	KindRun            = "run"             // an execution, by its run token: writes its own logs, nothing else
	KindConsumer       = "consumer"        // a key pair of the packages surface
)

// Roles, weakest first. Each includes the ones before it.
const (
	RoleRead  = "read"
	RoleWrite = "write"
	RoleOwner = "owner"
	RoleAdmin = "admin"
)

// Subject is whoever asks. Every accepted credential is turned into one.
type Subject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"`
	// Admin is the installation's administrator: everything is allowed, within the token's limits.
	Admin bool `json:"admin"`
	// Grants are the roles that the subject has, its teams' included.
	Grants []Grant `json:"grants"`
	// Token limits what this credential may do, on top of the subject's grants.
	Token Token `json:"token"`
	// Execution is the execution that a run token belongs to.
	Execution string `json:"execution,omitempty"`

	prepared *preparedSubject // see Prepare
}

// Grant is a role on a scope: the id of an organization or a project. It is inherited by everything below the scope.
type Grant struct {
	Scope string `json:"scope"`
	Role  string `json:"role"`
}

// Token is what a credential may be used for at most.
type Token struct {
	ID string `json:"id"`
	// Role is the strongest role the token can act with; "" for no limit.
	Role string `json:"role,omitempty"`
	// Scopes, where not empty, are the only organizations and projects (and what is below them) it works on.
	Scopes []string `json:"scopes,omitempty"`
}

// Resource is what is asked for.
type Resource struct {
	// Kind is the noun: project, build, namespace, asset ...
	Kind string `json:"kind"`
	// ID is the thing's own id where the policy may need it, as for an execution's logs.
	ID string `json:"id,omitempty"`
	// Scopes is the path from the thing's project (or organization) up to the root of the tree, nearest first.
	// Empty for things of the whole installation.
	Scopes []string `json:"scopes"`
}

// Visible is the answer to "where may this subject do that": everywhere, or in these scopes and what is below them.
type Visible struct {
	// All is everywhere, without exception.
	All bool
	// Scopes are organizations and projects; what is below them is meant too. Neither All nor Scopes: nowhere.
	Scopes []string
	// Within, where not empty, narrows Scopes: only what is also in or below one of these. It comes from a token that is
	// limited to some scopes. It is empty when All is set.
	Within []string
}
