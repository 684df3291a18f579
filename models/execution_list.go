package models

import (
	"context"
	"slices"

	"gorm.io/gorm"
)

// NamedExecution is an execution with the names of where it belongs, as they are now; "" where the thing is gone.
type NamedExecution struct {
	Execution
	ProjectName     string `gorm:"->"`
	EnvironmentName string `gorm:"->"`
}

// ListNamedExecutions gives executions of any kind, newest first, without their definitions, in one query.
func (s *Store) ListNamedExecutions(ctx context.Context, f ExecutionFilter) ([]NamedExecution, error) {
	columns, err := s.namedColumns()
	if err != nil {
		return nil, err
	}
	f.Brief = false // the columns are chosen here
	var list []NamedExecution
	err = s.listExecutions(ctx, f).Select(columns).Find(&list).Error
	return list, err
}

// namedColumns are the columns of a NamedExecution.
func (s *Store) namedColumns() ([]string, error) {
	statement := &gorm.Statement{DB: s.read}
	if err := statement.Parse(&Execution{}); err != nil {
		return nil, err
	}
	columns := slices.DeleteFunc(slices.Clone(statement.Schema.DBNames), func(c string) bool { return c == "definition" })
	return append(columns, "COALESCE((SELECT p.name FROM projects p WHERE p.id = executions.project_id), '') AS project_name",
		"COALESCE((SELECT v.name FROM environments v WHERE v.id = executions.environment_id), '') AS environment_name"), nil
}
