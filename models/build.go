package models

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"gorm.io/gorm"

	"slipway/policies"
)

// Build makes releases from a repository, in an environment.
type Build struct {
	ID                 string `gorm:"primaryKey"`
	ProjectID          string
	EnvironmentID      string
	Name               string
	Repo               string
	Branch             string
	Disabled           bool
	Steps              []BuildStep `gorm:"serializer:json"`
	StepsFromYML       bool        `gorm:"column:steps_from_yml"`
	ServiceAccountName string
	ServiceAccountTeam string
	// TaskQueue is where its executions run; "" is the default. The state document calls it remote_escape_worker_url.
	TaskQueue string
	// Limits are changed by SetLimits alone.
	Limits    Limits `gorm:"embedded"`
	CreatedAt time.Time
	UpdatedAt time.Time

	// The sealed secrets; see BuildSecrets.
	SealedPrivateKey      []byte `gorm:"column:private_key"`
	SealedEscapeAuthToken []byte `gorm:"column:escape_auth_token"`
	SealedWebhookToken    []byte `gorm:"column:webhook_token"`
	SealedWebhookSecret   []byte `gorm:"column:webhook_secret"`
	WebhookTokenHash      string

	// Read only, filled by queries: the names of where it belongs, and the status of its newest execution ("" for none).
	ProjectName     string `gorm:"-"`
	EnvironmentName string `gorm:"-"`
	LastStatus      Status `gorm:"-"`
}

// Status is that of the newest execution, or new.
func (b *Build) Status() Status { return orNew(b.LastStatus) }

func orNew(s Status) Status {
	if s == "" {
		return StatusNew
	}
	return s
}

// BuildSecrets are a build's secrets in the clear. Nil in a change means: leave what is there.
type BuildSecrets struct {
	PrivateKey      *string // of the repository
	EscapeAuthToken *string // for the inventory
	WebhookSecret   *string // that webhooks are signed with
}

// CreateBuild adds a build with a webhook token of its own. ErrExists where the environment has one of that name.
func (s *Store) CreateBuild(ctx context.Context, b *Build, secrets BuildSecrets) error {
	b.ID = NewID()
	b.CreatedAt, b.UpdatedAt = s.Now(), s.Now()
	token := NewWebhookToken()
	var err error
	if b.SealedWebhookToken, err = s.seal([]byte(token), place("builds", "webhook_token", b.ID)); err != nil {
		return err
	}
	b.WebhookTokenHash = webhookHash(token)
	if err := s.sealBuild(b, secrets); err != nil {
		return err
	}
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.shareRow(ctx, "environments", b.EnvironmentID); err != nil {
			return err
		}
		return created(tx.writer(ctx).Create(b))
	})
}

func (s *Store) sealBuild(b *Build, secrets BuildSecrets) error {
	if b.Steps == nil {
		b.Steps = []BuildStep{} // nil would be stored as NULL
	}
	for _, c := range []struct {
		column string
		value  *string
		to     *[]byte
	}{
		{"private_key", secrets.PrivateKey, &b.SealedPrivateKey},
		{"escape_auth_token", secrets.EscapeAuthToken, &b.SealedEscapeAuthToken},
		{"webhook_secret", secrets.WebhookSecret, &b.SealedWebhookSecret},
	} {
		if c.value == nil {
			continue
		}
		sealed, err := s.seal([]byte(*c.value), place("builds", c.column, b.ID))
		if err != nil {
			return err
		}
		*c.to = sealed
	}
	return nil
}

// UpdateBuild writes all fields of a build but its webhook token.
func (s *Store) UpdateBuild(ctx context.Context, b *Build, secrets BuildSecrets) error {
	b.UpdatedAt = s.Now()
	if err := s.sealBuild(b, secrets); err != nil {
		return err
	}
	return found(s.writer(ctx).Model(&Build{}).Where("id = ?", b.ID).
		Select("repo", "branch", "disabled", "steps", "steps_from_yml", "service_account_name", "service_account_team", "task_queue",
			"private_key", "escape_auth_token", "webhook_secret", "updated_at").Updates(b))
}

// SecretsOf opens a build's secrets. Members that are not set are "".
func (s *Store) SecretsOf(b *Build) (privateKey, escapeAuthToken, webhookSecret string, err error) {
	for _, c := range []struct {
		column string
		sealed []byte
		to     *string
	}{
		{"private_key", b.SealedPrivateKey, &privateKey},
		{"escape_auth_token", b.SealedEscapeAuthToken, &escapeAuthToken},
		{"webhook_secret", b.SealedWebhookSecret, &webhookSecret},
	} {
		plain, err := s.unseal(c.sealed, place("builds", c.column, b.ID))
		if err != nil {
			return "", "", "", err
		}
		*c.to = string(plain)
	}
	return privateKey, escapeAuthToken, webhookSecret, nil
}

// BuildKeys reads and opens the secrets that an execution of a build needs, and nothing else of it. ErrNotFound where the
// build is gone.
func (s *Store) BuildKeys(ctx context.Context, buildID string) (privateKey, escapeAuthToken string, err error) {
	var b Build
	if err := one(s.reader(ctx).Select("id", "private_key", "escape_auth_token").Where("id = ?", buildID).Take(&b)); err != nil {
		return "", "", err
	}
	privateKey, escapeAuthToken, _, err = s.SecretsOf(&b)
	return privateKey, escapeAuthToken, err
}

// WebhookToken opens the token in the path of a build's webhook.
func (s *Store) WebhookToken(b *Build) (string, error) {
	t, err := s.unseal(b.SealedWebhookToken, place("builds", "webhook_token", b.ID))
	return string(t), err
}

// buildColumns are what scanBuilds reads, in its order.
const buildColumns = `builds.id, builds.project_id, builds.environment_id, builds.name, builds.repo, builds.branch, builds.disabled, builds.steps, builds.steps_from_yml,
	builds.service_account_name, builds.service_account_team, builds.task_queue, builds.private_key, builds.escape_auth_token, builds.webhook_token, builds.webhook_secret,
	builds.webhook_token_hash, builds.created_at, builds.updated_at, builds.max_parallel, builds.when_busy, builds.time_limit, projects.name, environments.name, last_execution.status`

// buildJoins bring the names and the newest status along.
var buildJoins = []string{"JOIN projects ON projects.id = builds.project_id", "JOIN environments ON environments.id = builds.environment_id", joinLastExecution("builds")}

// builds is the query that lists of builds start from.
func (s *Store) builds(ctx context.Context) *gorm.DB {
	q := s.reader(ctx).Table("builds").Select(buildColumns)
	for _, j := range buildJoins {
		q = q.Joins(j)
	}
	return q
}

// scanBuilds reads rows of buildColumns. Builds are read more than anything else; by hand it takes a third of the
// time that GORM's reflection does.
func scanBuilds(q *gorm.DB) (list []Build, err error) {
	rows, err := q.Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var b Build
		var steps string
		var last sql.NullString
		if err := rows.Scan(&b.ID, &b.ProjectID, &b.EnvironmentID, &b.Name, &b.Repo, &b.Branch, &b.Disabled, &steps, &b.StepsFromYML,
			&b.ServiceAccountName, &b.ServiceAccountTeam, &b.TaskQueue, &b.SealedPrivateKey, &b.SealedEscapeAuthToken, &b.SealedWebhookToken, &b.SealedWebhookSecret,
			&b.WebhookTokenHash, &b.CreatedAt, &b.UpdatedAt, &b.Limits.MaxParallel, &b.Limits.WhenBusy, &b.Limits.TimeLimit, &b.ProjectName, &b.EnvironmentName, &last); err != nil {
			return nil, err
		}
		// The coming encoding/json/v2: half the time, and lists are mostly this.
		if err := jsonv2.Unmarshal([]byte(steps), &b.Steps); err != nil {
			return nil, fmt.Errorf("read the steps of build %s: %w", b.ID, err)
		}
		b.LastStatus = Status(last.String)
		list = append(list, b)
	}
	return list, rows.Err()
}

// oneBuildSQL reads one build in one statement that does not have to be put together anew.
var oneBuildSQL = "SELECT " + buildColumns + " FROM builds " + strings.Join(buildJoins, " ") + " WHERE "

func (s *Store) oneBuild(ctx context.Context, where string, args ...any) (*Build, error) {
	list, err := scanBuilds(s.reader(ctx).Raw(oneBuildSQL+where+" LIMIT 1", args...))
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrNotFound
	}
	return &list[0], nil
}

// lastStatus and joinLastExecution add the status of a thing's newest execution to a query, through the counter that
// numbers executions: one row by key, however many there are.
const lastStatus = "last_execution.status AS last_status"

func joinLastExecution(table string) string {
	return "LEFT JOIN execution_counters ON execution_counters.subject_id = " + table + ".id " +
		"LEFT JOIN executions last_execution ON last_execution.subject_id = " + table + ".id AND last_execution.number = execution_counters.last"
}

// BuildByName finds a build of an environment.
func (s *Store) BuildByName(ctx context.Context, environmentID, name string) (*Build, error) {
	return s.oneBuild(ctx, "builds.environment_id = ? AND builds.name = ?", environmentID, name)
}

// BuildByID finds a build.
func (s *Store) BuildByID(ctx context.Context, id string) (*Build, error) {
	return s.oneBuild(ctx, "builds.id = ?", id)
}

// BuildByWebhook finds the build whose webhook has the token.
func (s *Store) BuildByWebhook(ctx context.Context, token string) (*Build, error) {
	return s.oneBuild(ctx, "builds.webhook_token_hash = ?", webhookHash(token))
}

// Where says which builds, deployment jobs or pipelines a list holds. Empty members do not filter.
type Where struct {
	ProjectID, EnvironmentID string
	// Visible limits the list to the projects that a caller may see; nil for all.
	Visible *policies.Visible
}

func (w Where) apply(s *Store, q *gorm.DB, table string) *gorm.DB {
	if w.ProjectID != "" {
		q = q.Where(table+".project_id = ?", w.ProjectID)
	}
	if w.EnvironmentID != "" {
		q = q.Where(table+".environment_id = ?", w.EnvironmentID)
	}
	if w.Visible != nil {
		q = q.Scopes(s.visibleProjects(*w.Visible, table+".project_id"))
	}
	return q
}

// ListBuilds lists builds, newest first, in one query.
func (s *Store) ListBuilds(ctx context.Context, w Where) ([]Build, error) {
	return scanBuilds(w.apply(s, s.builds(ctx), "builds").Order("builds.id DESC"))
}

// DeleteBuild removes a build. It returns an ActiveError while one of its executions has not ended; their rows stay.
func (s *Store) DeleteBuild(ctx context.Context, id string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.closeSubjects(ctx, "SELECT id, -1 FROM builds WHERE id = ?", id); err != nil {
			return err
		}
		if err := tx.refuseActive(ctx, "subject_id = ?", id); err != nil {
			return err
		}
		if err := found(tx.writer(ctx).Where("id = ?", id).Delete(&Build{})); err != nil {
			return err
		}
		return tx.removeSchedules(ctx, "subject_id = ?", id).Error
	})
}

// Definition is the snapshot that an execution of the build runs.
func (b *Build) Definition() BuildDefinition {
	return BuildDefinition{BuildID: b.ID, Name: b.Name, Project: b.ProjectName, Environment: b.EnvironmentName, Repo: b.Repo, Branch: b.Branch,
		Steps: b.Steps, StepsFromYML: b.StepsFromYML, ServiceAccountName: b.ServiceAccountName, ServiceAccountTeam: b.ServiceAccountTeam, TaskQueue: b.TaskQueue, Limits: b.Limits}
}
