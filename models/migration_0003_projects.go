package models

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// The tables of what a project holds: environments, the state of deployments in them, builds, deployment jobs,
// pipelines and repositories. Frozen: later changes are migrations of their own.
var migration0003Projects = &gormigrate.Migration{
	ID: "0003_projects",
	Migrate: func(tx *gorm.DB) error {
		if err := createTables(tx, &environments0003{}, &builds0003{}, &deploymentJobs0003{}, &pipelines0003{}, &pipelineTriggers0003{}, &repositories0003{}, &deploymentHistory0003{}); err != nil {
			return err
		}
		for _, q := range deployments0003(tx.Name()) {
			if err := tx.Exec(q).Error; err != nil {
				return err
			}
		}
		return nil
	},
}

type environments0003 struct {
	ID          string `gorm:"primaryKey;size:36"`
	ProjectID   string `gorm:"size:36;not null;uniqueIndex:environments_name,priority:1"`
	Name        string `gorm:"size:200;not null;uniqueIndex:environments_name,priority:2"`
	Position    int    `gorm:"not null"`
	Description string `gorm:"type:text;not null"`
	Metadata    string `gorm:"type:text;not null"`
	Inputs      []byte // sealed JSON
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

func (environments0003) TableName() string { return "environments" }

type builds0003 struct {
	ID                 string `gorm:"primaryKey;size:36"`
	ProjectID          string `gorm:"size:36;not null;index:builds_project"`
	EnvironmentID      string `gorm:"size:36;not null;uniqueIndex:builds_name,priority:1"`
	Name               string `gorm:"size:200;not null;uniqueIndex:builds_name,priority:2"`
	Repo               string `gorm:"type:text;not null"`
	Branch             string `gorm:"type:text;not null"`
	Disabled           bool   `gorm:"not null"`
	Steps              string `gorm:"type:text;not null"`
	StepsFromYML       bool   `gorm:"column:steps_from_yml;not null"`
	ServiceAccountName string `gorm:"size:200;not null"`
	ServiceAccountTeam string `gorm:"size:200;not null"`
	TaskQueue          string `gorm:"size:200;not null"`
	PrivateKey         []byte // sealed
	EscapeAuthToken    []byte // sealed
	WebhookToken       []byte // sealed, for those who may read it
	WebhookTokenHash   string `gorm:"size:64;not null;uniqueIndex:builds_webhook"`
	WebhookSecret      []byte // sealed
	CreatedAt          time.Time
	UpdatedAt          time.Time
}

func (builds0003) TableName() string { return "builds" }

type deploymentJobs0003 struct {
	ID                 string `gorm:"primaryKey;size:36"`
	ProjectID          string `gorm:"size:36;not null;index:deployment_jobs_project"`
	EnvironmentID      string `gorm:"size:36;not null;uniqueIndex:deployment_jobs_name,priority:1"`
	Name               string `gorm:"size:500;not null;uniqueIndex:deployment_jobs_name,priority:2"`
	Deployment         string `gorm:"size:500;not null"`
	Release            string `gorm:"size:200;not null"`
	Version            string `gorm:"size:200;not null"`
	Inputs             []byte // sealed JSON
	Providers          string `gorm:"type:text;not null"`
	Disabled           bool   `gorm:"not null"`
	ServiceAccountName string `gorm:"size:200;not null"`
	ServiceAccountTeam string `gorm:"size:200;not null"`
	TaskQueue          string `gorm:"size:200;not null"`
	CreatedAt          time.Time
	UpdatedAt          time.Time
}

func (deploymentJobs0003) TableName() string { return "deployment_jobs" }

type pipelines0003 struct {
	ID                 string `gorm:"primaryKey;size:36"`
	ProjectID          string `gorm:"size:36;not null;uniqueIndex:pipelines_name,priority:1"`
	Name               string `gorm:"size:200;not null;uniqueIndex:pipelines_name,priority:2"`
	Disabled           bool   `gorm:"not null"`
	Phases             string `gorm:"type:text;not null"`
	ServiceAccountName string `gorm:"size:200;not null"`
	CreatedAt          time.Time
	UpdatedAt          time.Time
}

func (pipelines0003) TableName() string { return "pipelines" }

type pipelineTriggers0003 struct {
	ID         string `gorm:"primaryKey;size:36"`
	PipelineID string `gorm:"size:36;not null;index:pipeline_triggers_pipeline"`
	Position   int    `gorm:"not null"`
	Type       string `gorm:"size:40;not null"`
	Token      []byte // sealed
	TokenHash  string `gorm:"size:64;not null;uniqueIndex:pipeline_triggers_webhook"`
	Secret     []byte // sealed
	CreatedAt  time.Time
}

func (pipelineTriggers0003) TableName() string { return "pipeline_triggers" }

type repositories0003 struct {
	ID         string `gorm:"primaryKey;size:36"`
	ProjectID  string `gorm:"size:36;not null;uniqueIndex:repositories_name,priority:1"`
	Name       string `gorm:"size:200;not null;uniqueIndex:repositories_name,priority:2"`
	Repo       string `gorm:"type:text;not null"`
	Branch     string `gorm:"type:text;not null"`
	PrivateKey []byte // sealed
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

func (repositories0003) TableName() string { return "repositories" }

// deploymentHistory0003 holds one row for each stage of a deployment that finished: what was there when, and how it got
// there. The client repeats whole nodes in every write, so the time of the status is part of the key.
type deploymentHistory0003 struct {
	ID            string `gorm:"primaryKey;size:36"`
	EnvironmentID string `gorm:"size:36;not null;uniqueIndex:deployment_history_once,priority:1;index:deployment_history_environment"`
	Root          string `gorm:"size:500;not null;uniqueIndex:deployment_history_once,priority:2"`
	RootStage     string `gorm:"size:10;not null;uniqueIndex:deployment_history_once,priority:3"`
	Path          string `gorm:"size:2000;not null;uniqueIndex:deployment_history_once,priority:4"`
	Stage         string `gorm:"size:10;not null;uniqueIndex:deployment_history_once,priority:5"`
	StatusAt      string `gorm:"size:40;not null;uniqueIndex:deployment_history_once,priority:6"`
	Status        string `gorm:"size:40;not null"`
	Release       string `gorm:"size:200;not null"`
	Version       string `gorm:"size:200;not null"`
	ChangedBy     string `gorm:"size:200;not null"`
	CreatedAt     time.Time
}

func (deploymentHistory0003) TableName() string { return "deployment_history" }

// deployments0003 is SQL because the two databases number writes differently: PostgreSQL by a sequence, which never
// waits, SQLite by the single writer's own count. A write knows its environment by an id that was looked up earlier: the
// reference refuses one that was deleted since.
func deployments0003(dialect string) []string {
	sequence, content, moment := "BIGINT NOT NULL", "BLOB NOT NULL", "DATETIME"
	if dialect == "postgres" {
		sequence, content, moment = "BIGSERIAL NOT NULL", "BYTEA NOT NULL", "TIMESTAMPTZ"
	}
	return []string{
		`CREATE TABLE deployments (
			environment_id VARCHAR(36) NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
			root VARCHAR(500) NOT NULL,
			root_stage VARCHAR(10) NOT NULL,
			path VARCHAR(2000) NOT NULL,
			sequence ` + sequence + `,
			content ` + content + `,
			updated_by VARCHAR(200) NOT NULL,
			updated_at ` + moment + ` NOT NULL,
			PRIMARY KEY (environment_id, root, root_stage, path))`,
	}
}
