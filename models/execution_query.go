package models

import (
	"context"
	"encoding/json"

	"gorm.io/gorm"

	"slipway/policies"
)

// ExecutionByID finds an execution.
func (s *Store) ExecutionByID(ctx context.Context, id string) (*Execution, error) {
	return take[Execution](s.reader(ctx).Where("id = ?", id))
}

// Attempt is an execution with what an earlier attempt at it left behind.
type Attempt struct {
	Execution
	// NextLine is the line that its log goes on with; Decided says that it has recorded decisions.
	NextLine int64 `gorm:"->"`
	Decided  bool  `gorm:"->"`
	// Claimed says that DirectClaim gave it, and First that this was the first time.
	Claimed bool `gorm:"-"`
	First   bool `gorm:"-"`
}

// AttemptOf finds an execution with what earlier attempts left, in one query.
func (s *Store) AttemptOf(ctx context.Context, id string) (*Attempt, error) {
	var rows []Attempt
	err := s.writer(ctx).Raw(`SELECT e.*, `+attemptColumns("e.id")+` FROM executions e WHERE e.id = ?`, id).Scan(&rows).Error
	if err == nil && len(rows) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return &rows[0], nil
}

// ExecutionByKey finds an execution by its idempotency key. It asks the writer, since a key may have been committed a
// moment ago.
func (s *Store) ExecutionByKey(ctx context.Context, key string) (*Execution, error) {
	return take[Execution](s.writer(ctx).Where("idempotency_key = ?", key))
}

// ExecutionFilter says which executions a list holds. Empty members do not filter.
type ExecutionFilter struct {
	Kind          string
	ProjectID     string
	EnvironmentID string
	SubjectID     string
	// SubjectName is the name that the build, deployment job or pipeline had.
	SubjectName string
	ParentID    string
	// Statuses are those that count; none for all.
	Statuses []Status
	// Visible limits the list to projects and organizations that the caller may see; nil for all.
	Visible *policies.Visible
	// Brief leaves the definitions out: a pipeline's may be a megabyte, and a list of them is read often.
	Brief bool
	// PageFrom is an execution's id: every item has an id lower than it. PageSize is 1 to 1000; 0 means 50.
	PageFrom string
	PageSize int
}

// ListExecutions gives executions newest first, without their definitions where Brief is asked for.
func (s *Store) ListExecutions(ctx context.Context, f ExecutionFilter) ([]Execution, error) {
	var list []Execution
	err := s.listExecutions(ctx, f).Find(&list).Error
	return list, err
}

// listExecutions is the query of a list.
func (s *Store) listExecutions(ctx context.Context, f ExecutionFilter) *gorm.DB {
	q := s.reader(ctx).Model(&Execution{})
	for column, v := range map[string]string{"kind": f.Kind, "project_id": f.ProjectID, "environment_id": f.EnvironmentID, "subject_id": f.SubjectID,
		"subject_name": f.SubjectName, "parent_id": f.ParentID} {
		if v != "" {
			q = q.Where(column+" = ?", v)
		}
	}
	if len(f.Statuses) > 0 {
		q = q.Where("status IN ?", f.Statuses)
	}
	if f.PageFrom != "" {
		q = q.Where("id < ?", f.PageFrom)
	}
	size := f.PageSize
	if size <= 0 {
		size = 50
	}
	size = min(size, 1000)
	switch {
	case f.Visible == nil:
	case s.mergesProjects(f):
		q = s.newestOfProjects(ctx, *f.Visible, q, size)
	default:
		q = q.Scopes(s.visibleExecutions(*f.Visible, f))
	}
	if f.Brief {
		q = q.Omit("definition")
	}
	return q.Order("id DESC").Limit(size)
}

// LastGoodBuild gives the last execution before e, of the same build and on the same branch, that ended well and whose
// commit is known: its id and its commit, nothing else of it. ErrNotFound where there is none, or none of the last fifty
// is of that branch.
func (s *Store) LastGoodBuild(ctx context.Context, e *Execution, branch string) (*Execution, error) {
	var list []Execution
	err := s.reader(ctx).Select("id", "commit").Where("subject_id = ? AND id < ? AND status = ?", e.SubjectID, e.ID, StatusOK).Order("id DESC").Limit(50).Find(&list).Error
	if err != nil {
		return nil, err
	}
	for i := range list {
		if c := list[i].Commit; c != nil && c.Revision != "" && (branch == "" || c.Branch == "" || c.Branch == branch) {
			return &list[i], nil
		}
	}
	return nil, ErrNotFound
}

// OpenExecutions counts the executions of a subject that have not ended, to refuse its deletion.
func (s *Store) OpenExecutions(ctx context.Context, subjectID string) (int64, error) {
	var n int64
	err := s.writer(ctx).Model(&Execution{}).Where("subject_id = ? AND status IN ?", subjectID, openStatuses).Count(&n).Error
	return n, err
}

// SetResult stores what an execution has made so far.
func (s *Store) SetResult(ctx context.Context, id string, r Result) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.writer(ctx).Model(&Execution{}).Where("id = ?", id).Update("result", b).Error
}

// OpenDescendants gives the executions below one, at any depth, that have not ended; kind narrows that, "" is all. Those
// beside it do not belong to it, although they share its root.
func (s *Store) OpenDescendants(ctx context.Context, id, kind string) ([]string, error) {
	var ids []string
	err := s.reader(ctx).Raw(`WITH RECURSIVE below (id, status, kind) AS (
		SELECT id, status, kind FROM executions WHERE parent_id = ?
		UNION ALL SELECT e.id, e.status, e.kind FROM executions e JOIN below b ON e.parent_id = b.id
	) SELECT id FROM below WHERE status IN ? AND (? = '' OR kind = ?)`, id, openStatuses, kind, kind).Scan(&ids).Error
	return ids, err
}

// CountOpen counts open executions by kind and status, for the metrics.
func (s *Store) CountOpen(ctx context.Context) (map[[2]string]int64, error) {
	var rows []struct {
		Kind, Status string
		N            int64
	}
	err := s.reader(ctx).Raw("SELECT kind, status, COUNT(*) AS n FROM executions WHERE status IN ? GROUP BY kind, status", openStatuses).Scan(&rows).Error
	m := map[[2]string]int64{}
	for _, r := range rows {
		m[[2]string{r.Kind, r.Status}] = r.N
	}
	return m, err
}

var openStatuses = []Status{StatusNew, StatusQueued, StatusRunning, StatusWaiting}

// DefinitionInto reads the snapshot of an execution.
func (e *Execution) DefinitionInto(v any) error { return json.Unmarshal(e.Definition, v) }

// ResultOf reads what the execution made; the zero Result where there is none yet.
func (e *Execution) ResultOf() Result {
	var r Result
	if len(e.Result) > 0 {
		_ = json.Unmarshal(e.Result, &r)
	}
	return r
}

// SealErrandInputs encrypts the inputs that came with the trigger of an errand, for the definition's snapshot.
func (s *Store) SealErrandInputs(jobID string, inputs map[string]any) ([]byte, error) {
	if len(inputs) == 0 {
		return nil, nil
	}
	return s.sealJSON(inputs, place("executions", "errand_inputs", jobID))
}

// OpenErrandInputs decrypts what SealErrandInputs made.
func (s *Store) OpenErrandInputs(jobID string, sealed []byte) (map[string]any, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	var m map[string]any
	err := s.unsealJSON(sealed, place("executions", "errand_inputs", jobID), &m)
	return m, err
}
