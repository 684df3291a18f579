package models

import (
	"context"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm/clause"

	"slipway/internal/problem"
)

// What a quota bounds: an organization with all that is below it.
const (
	// QuotaExecutions bounds the executions that have not ended. The steps of a pipeline are part of it and do not count:
	// what has begun must be able to go on.
	QuotaExecutions = "executions"
	// QuotaProjects bounds the projects.
	QuotaProjects = "projects"
	// QuotaStorage bounds the bytes of stored packages: those of releases, and the archives of Composer packages.
	QuotaStorage = "storage"
	// QuotaAssets bounds the assets, those that no registry names any more included.
	QuotaAssets = "assets"
)

// QuotaResources are all that quotas bound, in the order in which they are shown.
var QuotaResources = []string{QuotaExecutions, QuotaProjects, QuotaStorage, QuotaAssets}

// OrganizationQuota is the most of something that an organization, with all that is below it, may have. Without a row it may
// have any number.
//
// Nothing is counted along: what is used is asked for in the transaction that adds to it, behind a lock on the row. So
// counts cannot drift, whatever deletes or ends things, and who has no quota neither waits for anybody nor pays more than a
// look into a table that is nearly empty.
type OrganizationQuota struct {
	OrganizationID string `gorm:"primaryKey"`
	Resource       string `gorm:"primaryKey"`
	Maximum        int64
	UpdatedAt      time.Time
}

// TableName names the table.
func (OrganizationQuota) TableName() string { return "organization_quotas" }

// QuotaUse is what an organization has of something, and how much it may have.
type QuotaUse struct {
	Resource string
	// Maximum is nil where there is none.
	Maximum *int64
	Used    int64
}

// SetQuota sets the most of something that an organization may have; nil is any number. It holds from now on: what is there
// stays, even where it is more, and what is being added at this moment may still come. A problem names a resource that there
// is not, or a number below 0; ErrNotFound says that there is no such organization.
func (s *Store) SetQuota(ctx context.Context, organizationID, resource string, maximum *int64) error {
	if !slices.Contains(QuotaResources, resource) {
		return problem.BadField("resource", "expected %s", strings.Join(QuotaResources, ", "))
	}
	if maximum == nil {
		return s.writer(ctx).Where("organization_id = ? AND resource = ?", organizationID, resource).Delete(&OrganizationQuota{}).Error
	}
	if *maximum < 0 {
		return problem.BadField("maximum", "must not be less than 0")
	}
	q := OrganizationQuota{OrganizationID: organizationID, Resource: resource, Maximum: *maximum, UpdatedAt: s.Now()}
	return foreignKeyNotFound(s.writer(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&q).Error)
}

// AuditQuota is the line of the audit log for SetQuota.
func AuditQuota(organizationID, name, resource string, maximum *int64) AuditEntry {
	return AuditEntry{Action: "quota:update", ResourceKind: "organization", ResourceID: organizationID, ResourceName: name,
		Detail: map[string]any{"resource": resource, "maximum": maximum}}
}

// QuotasOf gives what an organization, with all that is below it, has and may have, of every resource.
func (s *Store) QuotasOf(ctx context.Context, organizationID string) ([]QuotaUse, error) {
	set, err := all[OrganizationQuota](s.reader(ctx).Where("organization_id = ?", organizationID))
	if err != nil {
		return nil, err
	}
	out := make([]QuotaUse, len(QuotaResources))
	for i, r := range QuotaResources {
		out[i].Resource = r
		for _, q := range set {
			if q.Resource == r {
				out[i].Maximum = &q.Maximum
			}
		}
		if out[i].Used, err = s.used(ctx, organizationID, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// keepQuota refuses what a transaction has added where an organization has more than it may now. It must be called in that
// transaction, after the addition: whoever else adds waits for its end, and sees what it has added. The error is a
// *problem.Error of kind LimitReached.
func (s *Store) keepQuota(ctx context.Context, resource string, of quotaOwner) error {
	list, err := s.quotasOver(ctx, resource, of, true)
	if err != nil {
		return err
	}
	for _, q := range list {
		used, err := s.used(ctx, q.OrganizationID, resource)
		if err != nil {
			return err
		}
		if used > q.Maximum {
			return q.refusal()
		}
	}
	return nil
}

// boundQuota is a quota with the name of its organization.
type boundQuota struct {
	OrganizationQuota `gorm:"embedded"`
	Canonical         string
}

func (q *boundQuota) refusal() *problem.Error {
	switch q.Resource {
	case QuotaExecutions:
		return problem.New(problem.LimitReached, "organization '%s' may have no more than %d executions that have not ended: wait for an end, or cancel some", q.Canonical, q.Maximum)
	case QuotaProjects, QuotaAssets:
		return problem.New(problem.LimitReached, "organization '%s' may have no more than %d %s", q.Canonical, q.Maximum, q.Resource)
	}
	return problem.New(problem.LimitReached, "organization '%s' may store no more than %d bytes of packages", q.Canonical, q.Maximum)
}

// StorageLeft is how much an upload may bring before a quota is reached, as things are now. What counts is decided when it
// ends; this is to stop one early that goes on and on.
type StorageLeft struct {
	// Bytes that are left; what is replaced is not taken off.
	Bytes   int64
	refusal *problem.Error
}

// Reader reads no more than what is left, and gives a *problem.Error of kind LimitReached in place of what goes beyond.
func (l StorageLeft) Reader(r io.Reader) io.Reader {
	if l.refusal == nil {
		return r
	}
	return &boundReader{r: r, left: l}
}

type boundReader struct {
	r    io.Reader
	left StorageLeft
}

func (b *boundReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left.Bytes -= int64(n); b.left.Bytes < 0 {
		return n, b.left.refusal
	}
	return n, err
}

// StorageLeftForRelease gives what is left for the package of a release that has one of replaced bytes, or none.
func (s *Store) StorageLeftForRelease(ctx context.Context, applicationID string, replaced int64) (StorageLeft, error) {
	return s.storageLeft(ctx, ownerOfApplication(applicationID), replaced)
}

// StorageLeftForPackage gives what is left for the archive of a version of a Composer package that has one of replaced
// bytes, or none.
func (s *Store) StorageLeftForPackage(ctx context.Context, packageID, replaced int64) (StorageLeft, error) {
	return s.storageLeft(ctx, ownerOfPackage(packageID), replaced)
}

func (s *Store) storageLeft(ctx context.Context, of quotaOwner, replaced int64) (StorageLeft, error) {
	left := StorageLeft{Bytes: math.MaxInt64}
	list, err := s.quotasOver(ctx, QuotaStorage, of, false)
	if err != nil {
		return left, err
	}
	for _, q := range list {
		used, err := s.used(ctx, q.OrganizationID, QuotaStorage)
		if err != nil {
			return left, err
		}
		if free := max(0, q.Maximum-used+replaced); free < left.Bytes {
			left = StorageLeft{Bytes: free, refusal: q.refusal()}
		}
	}
	return left, nil
}
