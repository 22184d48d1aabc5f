-- A week that nothing was written to for a day is merged into one part by the engine, once: FINAL then costs nothing there.
-- A TTL that changes is computed anew from the time alone, without rewriting the other columns.
ALTER TABLE events MODIFY SETTING min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1, materialize_ttl_recalculate_only = 1;
ALTER TABLE dispatches MODIFY SETTING min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1, materialize_ttl_recalculate_only = 1;
ALTER TABLE deliveries MODIFY SETTING min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1, materialize_ttl_recalculate_only = 1;
ALTER TABLE attempts MODIFY SETTING min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1, materialize_ttl_recalculate_only = 1;
ALTER TABLE rejections MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE operations MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE projection_errors MODIFY SETTING materialize_ttl_recalculate_only = 1;
ALTER TABLE stats_by_subscription MODIFY SETTING min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1, materialize_ttl_recalculate_only = 1;
ALTER TABLE stats_by_topic MODIFY SETTING min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1, materialize_ttl_recalculate_only = 1;
