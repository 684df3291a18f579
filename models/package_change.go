package models

import (
	"context"
	"sync/atomic"
)

// Clients of a Composer repository remember each answer with its Last-Modified and send that back as If-Modified-Since.
// They remember it by the repository's URL, so two consumers on one machine share what is remembered, and a consumer whose
// permission was taken away still has it. Last-Modified is therefore a validator that must never stand for two different
// answers: each change gives each consumer that it concerns a second of its own, later than any that was given before.
//
// The seconds come from the one row of package_clock, which is locked from the beginning of a change to its commit. That
// also orders the changes: without it a version could be published while a permission for it is added, and neither
// transaction would see the other's row. When many consumers change at once the seconds run ahead of the real time, and
// the time catches up later. Since the clock never starts below the real time, a database that was restored from a backup
// does not give a second twice either.

var packagesVersion atomic.Uint64

// PackagesVersion rises whenever this process has committed a change of packages, versions, consumers or permissions.
// Caches compare it; what other processes change shows in PackageClock.
func PackagesVersion() uint64 { return packagesVersion.Load() }

// packageChange is a transaction that changes what consumers see.
type packageChange struct {
	*Store
	last int64
}

// changePackages runs fn in a transaction that holds the clock. The clock moves even if fn touches no consumer, so that
// caches look again.
func (s *Store) changePackages(ctx context.Context, fn func(c *packageChange) error) error {
	return s.Tx(ctx, func(tx *Store) error {
		last, err := tx.lockPackageClock(ctx)
		if err != nil {
			return err
		}
		c := &packageChange{Store: tx, last: max(last, tx.Now().Unix()-1)}
		begin := c.last
		if err := fn(c); err != nil {
			return err
		}
		if c.last == begin {
			c.last++
		}
		if err := tx.writer(ctx).Exec("UPDATE package_clock SET last = ?", c.last).Error; err != nil {
			return err
		}
		tx.AfterCommit(func() { packagesVersion.Add(1) })
		return nil
	})
}

// next gives a second that no consumer has had.
func (c *packageChange) next() int64 {
	c.last++
	return c.last
}

// touch gives each consumer that the condition matches its own second.
func (c *packageChange) touch(ctx context.Context, where string, args ...any) error {
	q := c.writer(ctx).Exec(`UPDATE consumers SET modified = ? + r.place FROM
		(SELECT id, row_number() OVER (ORDER BY id) AS place FROM consumers WHERE `+where+`) r WHERE consumers.id = r.id`,
		append([]any{c.last}, args...)...)
	c.last += q.RowsAffected
	return q.Error
}

// touchPackage is to be called for every change of a package, its versions included: before its permissions go, after
// they came.
func (c *packageChange) touchPackage(ctx context.Context, packageID int64) error {
	if err := c.touch(ctx, "id IN (SELECT consumer_id FROM package_permissions WHERE package_id = ?)", packageID); err != nil {
		return err
	}
	return found(c.writer(ctx).Model(&Package{}).Where("id = ?", packageID).UpdateColumn("revision", c.next()))
}

// touchConsumer is touch for one consumer.
func (c *packageChange) touchConsumer(ctx context.Context, consumerID int64) error {
	return found(c.writer(ctx).Model(&Consumer{}).Where("id = ?", consumerID).UpdateColumn("modified", c.next()))
}

// PackageClock gives a number that rises with every change of packages, versions, consumers or permissions, by whatever
// process.
func (s *Store) PackageClock(ctx context.Context) (int64, error) {
	var last int64
	err := s.reader(ctx).Raw("SELECT last FROM package_clock").Scan(&last).Error
	return last, err
}
