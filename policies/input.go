package policies

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// The policy's input is built as AST values by hand: going through JSON costs more than the decision itself.

var (
	termSubject   = ast.StringTerm("subject")
	termAction    = ast.StringTerm("action")
	termResource  = ast.StringTerm("resource")
	termKind      = ast.StringTerm("kind")
	termID        = ast.StringTerm("id")
	termName      = ast.StringTerm("name")
	termAdmin     = ast.StringTerm("admin")
	termGrants    = ast.StringTerm("grants")
	termRanks     = ast.StringTerm("ranks")
	termRank      = ast.StringTerm("rank")
	termToken     = ast.StringTerm("token")
	termRole      = ast.StringTerm("role")
	termScopes    = ast.StringTerm("scopes")
	termExecution = ast.StringTerm("execution")
)

// unlimited is the rank of a token without a limit, above every role's.
const unlimited = 9

// preparedSubject is a subject's part of the input, with what it was made from.
type preparedSubject struct {
	term   *ast.Term
	of     Subject
	grants *Grant
	scopes *string
	memo   decisions
}

// Prepare returns s with its part of the policy's input built once, for a subject that asks more often. Its grants and
// token scopes must not be changed in place afterwards; a subject whose fields are replaced is built anew.
func (s Subject) Prepare() Subject {
	s.prepared = nil
	p := &preparedSubject{term: s.buildTerm(), of: s, grants: first(s.Grants), scopes: first(s.Token.Scopes)}
	s.prepared = p
	return s
}

func (s Subject) term() *ast.Term {
	if s.isPrepared() {
		return s.prepared.term
	}
	return s.buildTerm()
}

// isPrepared says that the subject is still what its prepared part was made from.
func (s Subject) isPrepared() bool {
	p := s.prepared
	return p != nil && p.of.Kind == s.Kind && p.of.ID == s.ID && p.of.Name == s.Name && p.of.Admin == s.Admin && p.of.Execution == s.Execution &&
		p.of.Token.ID == s.Token.ID && p.of.Token.Role == s.Token.Role &&
		len(p.of.Grants) == len(s.Grants) && p.grants == first(s.Grants) &&
		len(p.of.Token.Scopes) == len(s.Token.Scopes) && p.scopes == first(s.Token.Scopes)
}

// first is the address of a slice's first element: with the length it tells whether two slices are the same one.
func first[T any](s []T) *T {
	if len(s) == 0 {
		return nil
	}
	return &s[0]
}

func (s Subject) buildTerm() *ast.Term {
	// One role for each scope, the strongest: a subject may have several through its teams.
	strongest := make(map[string]string, len(s.Grants))
	for _, g := range s.Grants {
		if have, ok := strongest[g.Scope]; !ok || Rank(g.Role) > Rank(have) {
			strongest[g.Scope] = g.Role
		}
	}
	grants, ranks := ast.NewObject(), ast.NewObject()
	for scope, role := range strongest {
		key := ast.StringTerm(scope)
		grants.Insert(key, ast.StringTerm(role))
		ranks.Insert(key, ast.InternedTerm(Rank(role)))
	}
	tokenRank := Rank(s.Token.Role)
	if s.Token.Role == "" {
		tokenRank = unlimited
	}
	return ast.ObjectTerm(
		[2]*ast.Term{termKind, ast.StringTerm(s.Kind)},
		[2]*ast.Term{termID, ast.StringTerm(s.ID)},
		[2]*ast.Term{termName, ast.StringTerm(s.Name)},
		[2]*ast.Term{termAdmin, ast.InternedTerm(s.Admin)},
		[2]*ast.Term{termGrants, ast.NewTerm(grants)},
		[2]*ast.Term{termRanks, ast.NewTerm(ranks)},
		[2]*ast.Term{termToken, ast.ObjectTerm(
			[2]*ast.Term{termID, ast.StringTerm(s.Token.ID)},
			[2]*ast.Term{termRole, ast.StringTerm(s.Token.Role)},
			[2]*ast.Term{termRank, ast.InternedTerm(tokenRank)},
			[2]*ast.Term{termScopes, stringsTerm(s.Token.Scopes)},
		)},
		[2]*ast.Term{termExecution, ast.StringTerm(s.Execution)},
	)
}

func stringsTerm(ss []string) *ast.Term {
	terms := make([]*ast.Term, len(ss))
	for i, s := range ss {
		terms[i] = ast.StringTerm(s)
	}
	return ast.ArrayTerm(terms...)
}

func allowInput(s Subject, action string, r Resource) ast.Value {
	return ast.NewObject(
		[2]*ast.Term{termSubject, s.term()},
		[2]*ast.Term{termAction, ast.StringTerm(action)},
		[2]*ast.Term{termResource, ast.ObjectTerm(
			[2]*ast.Term{termKind, ast.StringTerm(r.Kind)},
			[2]*ast.Term{termID, ast.StringTerm(r.ID)},
			[2]*ast.Term{termScopes, stringsTerm(r.Scopes)},
		)},
	)
}

func visibleInput(s Subject, action string) ast.Value {
	return ast.NewObject(
		[2]*ast.Term{termSubject, s.term()},
		[2]*ast.Term{termAction, ast.StringTerm(action)},
	)
}
