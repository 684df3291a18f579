package policies

import (
	"context"
	"slices"
)

// GrantableRoles are the roles that can be granted on a scope, weakest first. Admin is not one: it is a mark on a user.
var GrantableRoles = []string{RoleRead, RoleWrite, RoleOwner}

// Rank orders the roles: 1 for read up to 4 for admin, 0 for what is no role.
func Rank(role string) int {
	return slices.Index([]string{RoleRead, RoleWrite, RoleOwner, RoleAdmin}, role) + 1
}

// MayGrant says whether subject may give role to somebody on the scope that r describes. Nobody gives what he has not:
// it takes an owner, with a token that may act as one.
func (e *Engine) MayGrant(ctx context.Context, s Subject, role string, r Resource) (bool, error) {
	if !slices.Contains(GrantableRoles, role) {
		return false, nil
	}
	return e.Allow(ctx, s, "grant:add-"+role, r)
}

// MayIssue says whether a caller that came with token t may make token child for itself. A limited token makes none with
// wider limits, or it would be no limit.
func (t Token) MayIssue(child Token) bool {
	if t.Role != "" && (child.Role == "" || Rank(child.Role) > Rank(t.Role)) {
		return false
	}
	if len(t.Scopes) == 0 {
		return true
	}
	return len(child.Scopes) > 0 && !slices.ContainsFunc(child.Scopes, func(s string) bool { return !slices.Contains(t.Scopes, s) })
}
