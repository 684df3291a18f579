package models

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/glebarez/go-sqlite"

	"slipway/internal/rsql"
)

// The driver of SQLite looks at a query's context between rows only. A query that has to read everything before its first
// row, as every sorted or counted one does, would run on for minutes behind a request that was given up long ago, and keep
// a processor and a connection busy. So a filter that asks for much at each row also asks what time it is.

// inTimeFunction takes any column of the row, so that it is asked for each, and the deadline in milliseconds since 1970.
const inTimeFunction = "slipway_in_time"

// fewComparisons are those that are tried on all rows in no time.
const fewComparisons = 4

var errOutOfTime = errors.New("out of time")

func init() {
	// Not a deterministic one: that would be asked once.
	sqlite.MustRegisterScalarFunction(inTimeFunction, 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		if deadline, ok := args[1].(int64); ok && time.Now().UnixMilli() > deadline {
			return nil, errOutOfTime
		}
		return int64(1), nil
	})
}

// endInTime has a query end at its context's deadline, unless there is none or its filter needs no watching.
func (s *Store) endInTime(ctx context.Context, q AssetQuery, plan assetPlan) assetPlan {
	if s.dialect != SQLite || plan.filter == "" {
		return plan
	}
	if deadline, ok := ctx.Deadline(); ok && length(rsql.Comparisons(q.Filter)) > fewComparisons {
		plan.filter, plan.filterArgs = inTimeFunction+"(assets.id, ?)"+and(plan.filter), append([]any{deadline.UnixMilli()}, plan.filterArgs...)
	}
	return plan
}
