package schedules

// ReconcileOnce is one round of the reconciler, for tests.
var ReconcileOnce = (*Service).reconcileOnce
