package models

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
)

// BenchmarkCreateExecution is what the record of a trigger costs on PostgreSQL, from as many at once as there are processors.
func BenchmarkCreateExecution(b *testing.B) {
	s, err := Open(b.Context(), testenv.Postgres(b), Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	require.NoError(b, s.Migrate(b.Context()))
	p := &Project{Name: "shop"}
	require.NoError(b, s.CreateProject(b.Context(), p))
	b.RunParallel(func(pb *testing.PB) {
		n := NewExecution{Kind: KindBuild, ProjectID: p.ID, SubjectID: NewID(), SubjectName: "web", Definition: BuildDefinition{},
			Audit: &AuditEntry{Action: "build:trigger", ActorKind: "user", ActorID: NewID()}}
		for pb.Next() {
			if _, _, err := s.CreateExecution(b.Context(), n); err != nil {
				b.Error(err)
			}
		}
	})
}
