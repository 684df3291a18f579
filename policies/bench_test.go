package policies

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func benchSubject(grants int) (Subject, Resource) {
	s := Subject{Kind: KindUser, ID: "01890000-0000-7000-8000-000000000001", Name: "ann", Token: Token{ID: "t1", Role: RoleOwner}}
	for i := range grants {
		s.Grants = append(s.Grants, Grant{Scope: fmt.Sprintf("01890000-0000-7000-8000-%012d", i), Role: RoleWrite})
	}
	path := []string{"01890000-0000-7000-8000-aaaaaaaaaaaa", "01890000-0000-7000-8000-bbbbbbbbbbbb", s.Grants[grants-1].Scope}
	return s, Resource{Kind: "build", ID: "b", Scopes: path}
}

// BenchmarkAuthorizationDecision measures one decision as a request pays for it: a subject from the cache, a fresh
// resource. It ends with the line that the goal is read from.
func BenchmarkAuthorizationDecision(b *testing.B) {
	e, err := New(Options{})
	require.NoError(b, err)
	s, r := benchSubject(20)
	s = s.Prepare()
	n := 0
	for b.Loop() {
		// Another thing every time: what was decided before is remembered, and is not what is measured.
		n++
		r.ID = strconv.Itoa(n)
		if ok, err := e.Allow(b.Context(), s, "build:trigger", r); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
	us := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(time.Microsecond)
	verdict := "ok"
	if us > 50 {
		verdict = "short"
	}
	if b.N > 100 {
		fmt.Printf("RATIO authz_decision_us %.1f goal 50 %s\n", us, verdict)
	}
}

func BenchmarkVisible(b *testing.B) {
	e, err := New(Options{})
	require.NoError(b, err)
	s, _ := benchSubject(20)
	s = s.Prepare()
	for b.Loop() {
		if v, err := e.Visible(b.Context(), s, "build:read"); err != nil || len(v.Scopes) != 20 {
			b.Fatal(v, err)
		}
	}
}
