package models

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// Frozen: these structs describe the tables as this migration makes them, whatever becomes of the entities later.

type organization0001 struct {
	ID        string            `gorm:"primaryKey;size:36"`
	Canonical string            `gorm:"size:100;not null;uniqueIndex:organizations_canonical"`
	Name      string            `gorm:"size:200;not null"`
	ParentID  *string           `gorm:"size:36;index:organizations_parent"`
	Parent    *organization0001 `gorm:"foreignKey:ParentID;constraint:OnDelete:RESTRICT"`
	Kind      string            `gorm:"size:16;not null"`
	CreatedAt time.Time         `gorm:"not null"`
	UpdatedAt time.Time         `gorm:"not null"`
}

func (organization0001) TableName() string { return "organizations" }

type project0001 struct {
	ID             string            `gorm:"primaryKey;size:36"`
	OrganizationID string            `gorm:"size:36;not null;uniqueIndex:projects_name,priority:1"`
	Organization   *organization0001 `gorm:"constraint:OnDelete:RESTRICT"`
	Name           string            `gorm:"size:100;not null;uniqueIndex:projects_name,priority:2"`
	Description    string            `gorm:"type:text;not null"`
	Logo           []byte
	OrgURL         string    `gorm:"column:org_url;type:text;not null"`
	CreatedAt      time.Time `gorm:"not null"`
	UpdatedAt      time.Time `gorm:"not null"`
}

func (project0001) TableName() string { return "projects" }

type user0001 struct {
	ID           string `gorm:"primaryKey;size:36"`
	Name         string `gorm:"size:100;not null;uniqueIndex:users_name"`
	Email        string `gorm:"size:320;not null"`
	PasswordHash string `gorm:"type:text;not null"`
	Admin        bool   `gorm:"not null"`
	Disabled     bool   `gorm:"not null"`
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

func (user0001) TableName() string { return "users" }

type team0001 struct {
	ID             string            `gorm:"primaryKey;size:36"`
	OrganizationID string            `gorm:"size:36;not null;uniqueIndex:teams_name,priority:1"`
	Organization   *organization0001 `gorm:"constraint:OnDelete:CASCADE"`
	Name           string            `gorm:"size:100;not null;uniqueIndex:teams_name,priority:2"`
	Description    string            `gorm:"type:text;not null"`
	CreatedAt      time.Time         `gorm:"not null"`
}

func (team0001) TableName() string { return "teams" }

type teamMember0001 struct {
	TeamID    string    `gorm:"primaryKey;size:36"`
	Team      *team0001 `gorm:"constraint:OnDelete:CASCADE"`
	UserID    string    `gorm:"primaryKey;size:36;index:team_members_user"`
	User      *user0001 `gorm:"constraint:OnDelete:CASCADE"`
	CreatedAt time.Time `gorm:"not null"`
}

func (teamMember0001) TableName() string { return "team_members" }

type serviceAccount0001 struct {
	ID             string            `gorm:"primaryKey;size:36"`
	OrganizationID string            `gorm:"size:36;not null;uniqueIndex:service_accounts_name,priority:1"`
	Organization   *organization0001 `gorm:"constraint:OnDelete:CASCADE"`
	Name           string            `gorm:"size:100;not null;uniqueIndex:service_accounts_name,priority:2"`
	TeamID         *string           `gorm:"size:36;index:service_accounts_team"`
	Team           *team0001         `gorm:"constraint:OnDelete:SET NULL"`
	Disabled       bool              `gorm:"not null"`
	CreatedAt      time.Time         `gorm:"not null"`
}

func (serviceAccount0001) TableName() string { return "service_accounts" }

type token0001 struct {
	ID          string    `gorm:"primaryKey;size:36"`
	Hash        string    `gorm:"size:64;not null;uniqueIndex:tokens_hash"`
	Hint        string    `gorm:"size:16;not null"`
	Purpose     string    `gorm:"size:16;not null"`
	SubjectKind string    `gorm:"size:32;not null;index:tokens_subject,priority:1"`
	SubjectID   string    `gorm:"size:36;not null;index:tokens_subject,priority:2"`
	Name        string    `gorm:"size:200;not null"`
	Role        string    `gorm:"size:16;not null"`
	Scopes      string    `gorm:"type:text;not null"`
	ExecutionID string    `gorm:"size:36;not null"`
	CreatedAt   time.Time `gorm:"not null"`
	ExpiresAt   *time.Time
	RevokedAt   *time.Time
	LastUsedAt  *time.Time
}

func (token0001) TableName() string { return "tokens" }

type grant0001 struct {
	ID          string    `gorm:"primaryKey;size:36"`
	SubjectKind string    `gorm:"size:32;not null;uniqueIndex:grants_once,priority:1"`
	SubjectID   string    `gorm:"size:36;not null;uniqueIndex:grants_once,priority:2"`
	ScopeKind   string    `gorm:"size:16;not null;uniqueIndex:grants_once,priority:3"`
	ScopeID     string    `gorm:"size:36;not null;uniqueIndex:grants_once,priority:4;index:grants_scope"`
	Role        string    `gorm:"size:16;not null"`
	CreatedAt   time.Time `gorm:"not null"`
}

func (grant0001) TableName() string { return "grants" }

type auditEntry0001 struct {
	ID           string    `gorm:"primaryKey;size:36"`
	At           time.Time `gorm:"not null"`
	ActorKind    string    `gorm:"size:32;not null"`
	ActorID      string    `gorm:"size:36;not null"`
	ActorName    string    `gorm:"size:200;not null"`
	Action       string    `gorm:"size:100;not null"`
	ResourceKind string    `gorm:"size:64;not null"`
	ResourceID   string    `gorm:"size:64;not null"`
	ResourceName string    `gorm:"type:text;not null"`
	ProjectID    string    `gorm:"size:36;not null;index:audit_log_project"`
	Result       string    `gorm:"size:32;not null"`
	Detail       string    `gorm:"type:text;not null"`
}

func (auditEntry0001) TableName() string { return "audit_log" }

// migration0001Identity makes organizations, projects, subjects, their tokens and grants, and the audit log. It adds the
// default organization, which holds the projects of the state surface.
var migration0001Identity = &gormigrate.Migration{
	ID: "0001_identity",
	Migrate: func(tx *gorm.DB) error {
		err := createTables(tx, &organization0001{}, &project0001{}, &user0001{}, &team0001{}, &teamMember0001{},
			&serviceAccount0001{}, &token0001{}, &grant0001{}, &auditEntry0001{})
		if err != nil {
			return err
		}
		// Users log in by address on some surfaces, but need not have one.
		if err := tx.Exec("CREATE UNIQUE INDEX users_email ON users (email) WHERE email <> ''").Error; err != nil {
			return err
		}
		for _, q := range auditAppendOnly0001(tx.Name()) {
			if err := tx.Exec(q).Error; err != nil {
				return err
			}
		}
		now := time.Now().UTC().Truncate(time.Microsecond)
		return tx.Create(&organization0001{ID: NewID(), Canonical: "default", Name: "Default", Kind: "tenant", CreatedAt: now, UpdatedAt: now}).Error
	},
}

// auditAppendOnly0001 lets the database itself refuse to change or remove what the audit log says, so that neither a
// mistake in a query nor an injected one can.
func auditAppendOnly0001(dialect string) []string {
	if dialect == "postgres" {
		return []string{
			`CREATE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$`,
			`CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
				FOR EACH STATEMENT EXECUTE FUNCTION audit_log_append_only()`,
		}
	}
	return []string{
		`CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END`,
		`CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END`,
	}
}
