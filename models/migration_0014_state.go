package models

import (
	"encoding/json"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// migration0014State makes good what rows of older versions lack: the listeners of pipelines that were saved before there
// were any, the second approval of open confirmations under four eyes whose pipeline no known person set off (not where one
// named person alone may decide: there is nobody to be the second), and steps whose delivery was removed. And it makes
// room for who asked for the backfill of a schedule.
var migration0014State = &gormigrate.Migration{
	ID: "0014_state",
	Migrate: func(tx *gorm.DB) error {
		for _, q := range []string{
			"UPDATE execution_steps SET delivery_id = '' WHERE delivery_id <> '' AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id = execution_steps.delivery_id)",
			`UPDATE confirmations SET approvals = 2 WHERE status = 'pending' AND four_eyes AND approvals < 2
				AND ("user" = '' OR team <> '')
				AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.id = confirmations.execution_id AND e.trigger LIKE '%"subject_kind":"user"%')`,
		} {
			if err := tx.Exec(q).Error; err != nil {
				return err
			}
		}
		if err := fillListeners0014(tx); err != nil {
			return err
		}
		// Last: nobody can read the table from here on. The defaults are for processes of the version before.
		for _, q := range []string{
			"ALTER TABLE schedule_runs ADD COLUMN asked_by_kind VARCHAR(32) NOT NULL DEFAULT ''",
			"ALTER TABLE schedule_runs ADD COLUMN asked_by_id VARCHAR(36) NOT NULL DEFAULT ''",
			"ALTER TABLE schedule_runs ADD COLUMN asked_by_name VARCHAR(200) NOT NULL DEFAULT ''",
		} {
			if err := tx.Exec(q).Error; err != nil {
				return err
			}
		}
		return nil
	},
}

// fillListeners0014 writes the listeners of all pipelines whose steps ask for them. Those that are there stay.
func fillListeners0014(tx *gorm.DB) error {
	var pipelines []struct{ ID, ProjectID, OrganizationID, Phases string }
	if err := tx.Raw(`SELECT p.id, p.project_id, j.organization_id, p.phases FROM pipelines p JOIN projects j ON j.id = p.project_id
		WHERE p.phases LIKE '%trigger_pipeline_on_%'`).Scan(&pipelines).Error; err != nil {
		return err
	}
	type listener struct{ PipelineID, Kind, ProjectID, Environment, Name string }
	for _, p := range pipelines {
		var phases []struct {
			Steps []struct {
				Type, Project, Environment, Build, Deployment string
				OnBuild                                       bool `json:"trigger_pipeline_on_build"`
				OnDeploy                                      bool `json:"trigger_pipeline_on_deploy"`
			}
		}
		if err := json.Unmarshal([]byte(p.Phases), &phases); err != nil {
			continue // it cannot run either
		}
		for _, ph := range phases {
			for _, st := range ph.Steps {
				l := listener{PipelineID: p.ID, ProjectID: p.ProjectID, Environment: st.Environment}
				switch {
				case st.OnBuild && st.Type == "build":
					l.Kind, l.Name = "build", st.Build
				case st.OnDeploy && st.Deployment != "":
					l.Kind, l.Name = "deployment", st.Deployment
				default:
					continue
				}
				if st.Project != "" {
					l.ProjectID = ""
					if err := tx.Raw("SELECT id FROM projects WHERE organization_id = ? AND name = ?", p.OrganizationID, st.Project).Scan(&l.ProjectID).Error; err != nil {
						return err
					}
					if l.ProjectID == "" {
						continue // nothing there can end
					}
				}
				if err := tx.Table("pipeline_listeners").Clauses(clause.OnConflict{DoNothing: true}).Create(&l).Error; err != nil {
					return err
				}
			}
		}
	}
	return nil
}
