-- session_cleanup by pg_cron, which says when; a running cleanup_scheduler hears it and does the work.
-- Made by "cleanup_deploy pg_cron". It may be run again at any time: jobs of the same name are replaced, and
-- those that are not in here any more are removed.
--
--   before      shared_preload_libraries = 'pg_cron' and cron.database_name = '<this database>' in postgresql.conf,
--               then restart; as a superuser: CREATE EXTENSION pg_cron; GRANT USAGE ON SCHEMA cron TO <the role>;
--   install     psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f cleanup-sessions.sql
--   list        SELECT jobname, schedule, active FROM cron.job WHERE jobname LIKE 'session-cleanup %';
--   history     SELECT jobname, status, return_message, start_time FROM cron.job_run_details
--                 JOIN cron.job USING (jobid) ORDER BY start_time DESC LIMIT 20;
--               It says that the notification went out. What the job did stands in session_cleanup_jobrun.
--   now         NOTIFY session_cleanup, 'presentations-blank';
--   reschedule  SESSION_CLEANUP_SCHEDULES in the settings, then render and install again. For once:
--               SELECT cron.schedule('session-cleanup presentations-blank', '0 */6 * * *', $$NOTIFY session_cleanup, 'presentations-blank'$$);
--   unschedule  SELECT cron.unschedule('session-cleanup presentations-blank');
--   time zone   pg_cron counts in UTC unless cron.timezone says otherwise: SHOW cron.timezone;
--
-- Where pg_cron lives in another database than the application, a notification does not reach it: there say
-- cron.schedule_in_database(…, '<the application''s database>') instead of cron.schedule(…).
-- A notification is heard by connections that listen, not through a pooler that shares them by transaction.
--
-- No process is needed for recurring-activate and recurring-close: a function in the schema of the tables does the same, takes
-- the same lease, and writes the same history (its trigger is "sql"). The installing role needs CREATE there.
--
--   now         SELECT activate_scheduled_sessions();
--               SELECT auto_close_expired_sessions();
--   fewer       SELECT activate_scheduled_sessions(most => 1000);
--               A call is one transaction, and other writers of what it changes wait for its end. When more is
--               due, it ends "capped" and the next call goes on.
--   notify      To leave one to the scheduler after all:
--               SELECT cron.schedule('session-cleanup recurring-activate', '0 * * * *', $$NOTIFY session_cleanup, 'recurring-activate'$$);
--               SELECT cron.schedule('session-cleanup recurring-close', '*/5 * * * *', $$NOTIFY session_cleanup, 'recurring-close'$$);
--
-- A call that fails is undone, written down as failed with its SQLSTATE, and a WARNING in the server's log; pg_cron
-- itself says "succeeded" then, as it does when the job is busy. What is cancelled leaves no trace but in pg_cron.
-- The functions know the policies and settings of the moment when they were rendered; SESSION_CLEANUP_ENABLED
-- does not stop them. Render and install again after an upgrade.

BEGIN;
SELECT set_config('search_path', format('%I, pg_temp', nspname), true)
  FROM pg_namespace JOIN pg_class ON relnamespace = pg_namespace.oid
 WHERE pg_class.oid = 'session_cleanup_session'::regclass;

-- recurring-activate. It gives how many sessions it changed; NULL when the job is being run by somebody else, or failed.
CREATE OR REPLACE FUNCTION activate_scheduled_sessions(most integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
DECLARE
  run_clock timestamptz := now();
  due_keys bigint[];
  its_token uuid := gen_random_uuid();
  its_run bigint;
  its_record bigint;
  its_end_state text := 'busy';
  its_changed bigint := 0;
  its_batches integer := 0;
  its_figures jsonb := '{}';
  its_skipped jsonb := '{}';
  its_error text := '';
  met_0 bigint := 0;
  met_1 bigint := 0;
  met_2 bigint := 0;
  met_3 bigint := 0;
BEGIN
  IF most IS NULL OR most < 1 THEN
    RAISE EXCEPTION 'most is %. Give the number of sessions that one call may change.', coalesce(most::text, 'NULL');
  END IF;
  INSERT INTO "session_cleanup_cleanuprun" ("status", "trigger", "actor", "host", "pid", "options", "started_at", "finished_at", "exit_status") VALUES ('running', 'sql', (session_user), 'PostgreSQL', (pg_backend_pid()), (jsonb_build_object('jobs', jsonb_build_array('recurring-activate'), 'max_rows', most)), run_clock, NULL, NULL) RETURNING id INTO its_run;
  INSERT INTO "session_cleanup_jobrun" ("run_id", "job", "model", "database", "action", "end_state", "cutoff", "cursor", "changed", "related", "skipped", "figures", "batches", "walk", "seconds", "error", "heartbeat_at") VALUES ((its_run), 'recurring-activate', 'session_cleanup.Session', 'default', 'activate', '', run_clock, NULL, 0, '{}'::jsonb, '{}'::jsonb, '{}'::jsonb, 0, '', 0.0, '', STATEMENT_TIMESTAMP()) RETURNING id INTO its_record;

  IF NOT EXISTS (SELECT "session_cleanup_cleanuplease"."job" AS "job" FROM "session_cleanup_cleanuplease" WHERE "session_cleanup_cleanuplease"."job" = 'recurring-activate') THEN
    INSERT INTO "session_cleanup_cleanuplease" ("job", "token", "fence", "run_id", "holder", "since", "expires_at") VALUES ('recurring-activate', (its_token), 0, NULL, '', (STATEMENT_TIMESTAMP() - '1 day 0:00:00'::interval), (STATEMENT_TIMESTAMP() - '1 day 0:00:00'::interval)) ON CONFLICT DO NOTHING;
  END IF;
  PERFORM FROM (SELECT "session_cleanup_cleanuplease"."job" AS "job" FROM "session_cleanup_cleanuplease" WHERE "session_cleanup_cleanuplease"."job" = 'recurring-activate' FOR NO KEY UPDATE SKIP LOCKED) AS free;
  IF FOUND THEN
    UPDATE "session_cleanup_cleanuplease" SET "token" = (its_token), "fence" = ("session_cleanup_cleanuplease"."fence" + 1), "run_id" = (its_run), "holder" = ('PostgreSQL (pid ' || pg_backend_pid() || ')'), "since" = STATEMENT_TIMESTAMP(), "expires_at" = (STATEMENT_TIMESTAMP() + '0:01:00'::interval) WHERE (("session_cleanup_cleanuplease"."expires_at" <= (STATEMENT_TIMESTAMP()) OR "session_cleanup_cleanuplease"."token" = (its_token)) AND "session_cleanup_cleanuplease"."job" = 'recurring-activate');
  END IF;
  IF FOUND THEN
    BEGIN
      due_keys := ARRAY(SELECT "session_cleanup_session"."id" AS "pk" FROM "session_cleanup_session" WHERE ("session_cleanup_session"."ended_at" IS NULL AND NOT "session_cleanup_session"."is_active" AND "session_cleanup_session"."kind" = 'recurring' AND "session_cleanup_session"."visible_at" < run_clock AND CASE WHEN (EXISTS(SELECT 1 AS "a" FROM "session_cleanup_hold" U0 WHERE ((U0."until" IS NULL OR U0."until" > run_clock) AND U0."model" = 'session_cleanup.Session' AND U0."object_pk" = ("session_cleanup_session"."id")::text) LIMIT 1)) THEN 'held' ELSE '' END = '') ORDER BY "session_cleanup_session"."visible_at" ASC, 1 ASC FOR NO KEY UPDATE SKIP LOCKED LIMIT most);
      its_end_state := CASE cardinality(due_keys) WHEN most THEN 'capped' ELSE 'drained' END;
      due_keys := ARRAY(SELECT "session_cleanup_session"."id" AS "pk" FROM "session_cleanup_session" WHERE ("session_cleanup_session"."ended_at" IS NULL AND NOT "session_cleanup_session"."is_active" AND "session_cleanup_session"."kind" = 'recurring' AND "session_cleanup_session"."visible_at" < run_clock AND CASE WHEN (EXISTS(SELECT 1 AS "a" FROM "session_cleanup_hold" U0 WHERE ((U0."until" IS NULL OR U0."until" > run_clock) AND U0."model" = 'session_cleanup.Session' AND U0."object_pk" = ("session_cleanup_session"."id")::text) LIMIT 1)) THEN 'held' ELSE '' END = '' AND "session_cleanup_session"."id" = ANY(due_keys::bigint[])) ORDER BY 1 ASC);
      IF cardinality(due_keys) > 0 THEN
        INSERT INTO "session_cleanup_occurrencelog" ("event", "at", "series_uid", "series_name", "session_uid", "session_title", "occurrence", "starts_at", "over_at") SELECT 'missed' AS "value1", run_clock AS "value2", "session_cleanup_sessionseries"."uid" AS "f2", COALESCE("session_cleanup_sessionseries"."name", '') AS "coalesce2", "session_cleanup_session"."uid" AS "f3", "session_cleanup_session"."title" AS "f4", "session_cleanup_session"."occurrence" AS "f5", "session_cleanup_session"."starts_at" AS "f6", GREATEST(COALESCE("session_cleanup_session"."expires_at", run_clock), run_clock) AS "greatest6" FROM "session_cleanup_session" LEFT OUTER JOIN "session_cleanup_sessionseries" ON ("session_cleanup_session"."series_id" = "session_cleanup_sessionseries"."id") WHERE ("session_cleanup_session"."id" = ANY(due_keys::bigint[]) AND "session_cleanup_session"."expires_at" <= run_clock) ORDER BY "session_cleanup_session"."id" ASC;
        GET DIAGNOSTICS met_0 = ROW_COUNT;
        UPDATE "session_cleanup_session" SET "is_active" = false, "ended_at" = "session_cleanup_session"."expires_at", "end_reason" = CASE WHEN ("session_cleanup_session"."is_active") THEN 'expired' ELSE 'missed' END, "updated_at" = run_clock WHERE ("session_cleanup_session"."id" = ANY(due_keys::bigint[]) AND "session_cleanup_session"."expires_at" <= run_clock);
        GET DIAGNOSTICS met_1 = ROW_COUNT;
        INSERT INTO "session_cleanup_occurrencelog" ("event", "at", "series_uid", "series_name", "session_uid", "session_title", "occurrence", "starts_at", "over_at") SELECT 'activated' AS "value1", run_clock AS "value2", "session_cleanup_sessionseries"."uid" AS "f2", COALESCE("session_cleanup_sessionseries"."name", '') AS "coalesce2", "session_cleanup_session"."uid" AS "f3", "session_cleanup_session"."title" AS "f4", "session_cleanup_session"."occurrence" AS "f5", "session_cleanup_session"."starts_at" AS "f6", GREATEST(COALESCE("session_cleanup_session"."expires_at", run_clock), run_clock) AS "greatest6" FROM "session_cleanup_session" LEFT OUTER JOIN "session_cleanup_sessionseries" ON ("session_cleanup_session"."series_id" = "session_cleanup_sessionseries"."id") WHERE ("session_cleanup_session"."id" = ANY(due_keys::bigint[]) AND "session_cleanup_session"."ended_at" IS NULL AND NOT "session_cleanup_session"."is_active") ORDER BY "session_cleanup_session"."id" ASC;
        GET DIAGNOSTICS met_2 = ROW_COUNT;
        UPDATE "session_cleanup_session" SET "is_active" = true, "updated_at" = run_clock WHERE ("session_cleanup_session"."id" = ANY(due_keys::bigint[]) AND "session_cleanup_session"."ended_at" IS NULL AND NOT "session_cleanup_session"."is_active");
        GET DIAGNOSTICS met_3 = ROW_COUNT;
      END IF;
      IF its_end_state = 'drained' THEN
        SELECT coalesce(jsonb_object_agg(CASE verdict WHEN '' THEN 'locked' ELSE verdict END, number), '{}')
          FROM (SELECT CASE WHEN EXISTS(SELECT 1 AS "a" FROM "session_cleanup_hold" U0 WHERE ((U0."until" IS NULL OR U0."until" > run_clock) AND U0."model" = 'session_cleanup.Session' AND U0."object_pk" = ("session_cleanup_session"."id")::text) LIMIT 1) THEN 'held' ELSE '' END AS "verdict", COUNT("session_cleanup_session"."id") AS "number" FROM "session_cleanup_session" WHERE ("session_cleanup_session"."ended_at" IS NULL AND NOT "session_cleanup_session"."is_active" AND "session_cleanup_session"."kind" = 'recurring' AND "session_cleanup_session"."visible_at" < run_clock) GROUP BY 1) AS still_due INTO its_skipped;
        its_end_state := CASE its_skipped WHEN '{}' THEN 'drained' ELSE 'drained_with_skips' END;
      END IF;
      its_changed := 0 + 1 * met_1 + 1 * met_3;
      its_batches := (its_changed > 0 OR its_skipped <> '{}')::integer;
      its_figures := jsonb_strip_nulls(jsonb_build_object(
        'activated', nullif(0 + 1 * met_3, 0),
        'missed', nullif(0 + 1 * met_1, 0)));
    EXCEPTION WHEN OTHERS THEN
      its_end_state := 'failed';
      its_error := 'SQLSTATE ' || SQLSTATE || '; the server''s log says more';
      RAISE WARNING 'activate_scheduled_sessions() failed in run %: % (SQLSTATE %)', its_run, SQLERRM, SQLSTATE;
    END;
    UPDATE "session_cleanup_cleanuplease" SET "expires_at" = STATEMENT_TIMESTAMP() WHERE ("session_cleanup_cleanuplease"."job" = 'recurring-activate' AND "session_cleanup_cleanuplease"."token" = (its_token));
  ELSE
    its_error := 'Job ''recurring-activate'' is being run by another process. Wait for it.';
    RAISE NOTICE '%', its_error;
  END IF;
  UPDATE "session_cleanup_jobrun" SET "end_state" = (its_end_state), "changed" = (its_changed), "batches" = (its_batches), "figures" = (its_figures), "skipped" = (its_skipped), "error" = (its_error), "seconds" = (extract(epoch FROM clock_timestamp() - statement_timestamp())) WHERE "session_cleanup_jobrun"."id" = (its_record);
  UPDATE "session_cleanup_cleanuprun" SET "status" = (CASE its_end_state WHEN 'drained' THEN 'ok' WHEN 'drained_with_skips' THEN 'ok' WHEN 'capped' THEN 'incomplete' WHEN 'busy' THEN 'busy' WHEN 'failed' THEN 'failed' END), "exit_status" = (CASE its_end_state WHEN 'drained' THEN 0 WHEN 'drained_with_skips' THEN 0 WHEN 'capped' THEN 3 WHEN 'busy' THEN 4 WHEN 'failed' THEN 1 END), "finished_at" = (clock_timestamp()) WHERE "session_cleanup_cleanuprun"."id" = (its_run);
  RETURN CASE WHEN its_end_state IN ('busy', 'failed') THEN NULL ELSE its_changed END;
END;
$function$;

-- recurring-close. It gives how many sessions it changed; NULL when the job is being run by somebody else, or failed.
CREATE OR REPLACE FUNCTION auto_close_expired_sessions(most integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
DECLARE
  run_clock timestamptz := now();
  due_keys bigint[];
  its_token uuid := gen_random_uuid();
  its_run bigint;
  its_record bigint;
  its_end_state text := 'busy';
  its_changed bigint := 0;
  its_batches integer := 0;
  its_figures jsonb := '{}';
  its_skipped jsonb := '{}';
  its_error text := '';
  met_0 bigint := 0;
  met_1 bigint := 0;
  met_2 bigint := 0;
BEGIN
  IF most IS NULL OR most < 1 THEN
    RAISE EXCEPTION 'most is %. Give the number of sessions that one call may change.', coalesce(most::text, 'NULL');
  END IF;
  INSERT INTO "session_cleanup_cleanuprun" ("status", "trigger", "actor", "host", "pid", "options", "started_at", "finished_at", "exit_status") VALUES ('running', 'sql', (session_user), 'PostgreSQL', (pg_backend_pid()), (jsonb_build_object('jobs', jsonb_build_array('recurring-close'), 'max_rows', most)), run_clock, NULL, NULL) RETURNING id INTO its_run;
  INSERT INTO "session_cleanup_jobrun" ("run_id", "job", "model", "database", "action", "end_state", "cutoff", "cursor", "changed", "related", "skipped", "figures", "batches", "walk", "seconds", "error", "heartbeat_at") VALUES ((its_run), 'recurring-close', 'session_cleanup.Session', 'default', 'close', '', run_clock, NULL, 0, '{}'::jsonb, '{}'::jsonb, '{}'::jsonb, 0, '', 0.0, '', STATEMENT_TIMESTAMP()) RETURNING id INTO its_record;

  IF NOT EXISTS (SELECT "session_cleanup_cleanuplease"."job" AS "job" FROM "session_cleanup_cleanuplease" WHERE "session_cleanup_cleanuplease"."job" = 'recurring-close') THEN
    INSERT INTO "session_cleanup_cleanuplease" ("job", "token", "fence", "run_id", "holder", "since", "expires_at") VALUES ('recurring-close', (its_token), 0, NULL, '', (STATEMENT_TIMESTAMP() - '1 day 0:00:00'::interval), (STATEMENT_TIMESTAMP() - '1 day 0:00:00'::interval)) ON CONFLICT DO NOTHING;
  END IF;
  PERFORM FROM (SELECT "session_cleanup_cleanuplease"."job" AS "job" FROM "session_cleanup_cleanuplease" WHERE "session_cleanup_cleanuplease"."job" = 'recurring-close' FOR NO KEY UPDATE SKIP LOCKED) AS free;
  IF FOUND THEN
    UPDATE "session_cleanup_cleanuplease" SET "token" = (its_token), "fence" = ("session_cleanup_cleanuplease"."fence" + 1), "run_id" = (its_run), "holder" = ('PostgreSQL (pid ' || pg_backend_pid() || ')'), "since" = STATEMENT_TIMESTAMP(), "expires_at" = (STATEMENT_TIMESTAMP() + '0:01:00'::interval) WHERE (("session_cleanup_cleanuplease"."expires_at" <= (STATEMENT_TIMESTAMP()) OR "session_cleanup_cleanuplease"."token" = (its_token)) AND "session_cleanup_cleanuplease"."job" = 'recurring-close');
  END IF;
  IF FOUND THEN
    BEGIN
      due_keys := ARRAY(SELECT "session_cleanup_session"."id" AS "pk" FROM "session_cleanup_session" WHERE ("session_cleanup_session"."ended_at" IS NULL AND "session_cleanup_session"."kind" = 'recurring' AND "session_cleanup_session"."expires_at" < run_clock AND CASE WHEN (EXISTS(SELECT 1 AS "a" FROM "session_cleanup_hold" U0 WHERE ((U0."until" IS NULL OR U0."until" > run_clock) AND U0."model" = 'session_cleanup.Session' AND U0."object_pk" = ("session_cleanup_session"."id")::text) LIMIT 1)) THEN 'held' ELSE '' END = '') ORDER BY "session_cleanup_session"."expires_at" ASC, 1 ASC FOR NO KEY UPDATE SKIP LOCKED LIMIT most);
      its_end_state := CASE cardinality(due_keys) WHEN most THEN 'capped' ELSE 'drained' END;
      due_keys := ARRAY(SELECT "session_cleanup_session"."id" AS "pk" FROM "session_cleanup_session" WHERE ("session_cleanup_session"."ended_at" IS NULL AND "session_cleanup_session"."kind" = 'recurring' AND "session_cleanup_session"."expires_at" < run_clock AND CASE WHEN (EXISTS(SELECT 1 AS "a" FROM "session_cleanup_hold" U0 WHERE ((U0."until" IS NULL OR U0."until" > run_clock) AND U0."model" = 'session_cleanup.Session' AND U0."object_pk" = ("session_cleanup_session"."id")::text) LIMIT 1)) THEN 'held' ELSE '' END = '' AND "session_cleanup_session"."id" = ANY(due_keys::bigint[])) ORDER BY 1 ASC);
      IF cardinality(due_keys) > 0 THEN
        SELECT COUNT(*) AS "__count" FROM "session_cleanup_session" WHERE ("session_cleanup_session"."id" = ANY(due_keys::bigint[]) AND NOT "session_cleanup_session"."is_active") INTO met_0;
        INSERT INTO "session_cleanup_occurrencelog" ("event", "at", "series_uid", "series_name", "session_uid", "session_title", "occurrence", "starts_at", "over_at") SELECT CASE WHEN "session_cleanup_session"."is_active" THEN 'closed' ELSE 'missed' END AS "case1", run_clock AS "value1", "session_cleanup_sessionseries"."uid" AS "f1", COALESCE("session_cleanup_sessionseries"."name", '') AS "coalesce1", "session_cleanup_session"."uid" AS "f2", "session_cleanup_session"."title" AS "f3", "session_cleanup_session"."occurrence" AS "f4", "session_cleanup_session"."starts_at" AS "f5", GREATEST(COALESCE("session_cleanup_session"."expires_at", run_clock), run_clock) AS "greatest5" FROM "session_cleanup_session" LEFT OUTER JOIN "session_cleanup_sessionseries" ON ("session_cleanup_session"."series_id" = "session_cleanup_sessionseries"."id") WHERE "session_cleanup_session"."id" = ANY(due_keys::bigint[]) ORDER BY "session_cleanup_session"."id" ASC;
        GET DIAGNOSTICS met_1 = ROW_COUNT;
        UPDATE "session_cleanup_session" SET "is_active" = false, "ended_at" = "session_cleanup_session"."expires_at", "end_reason" = CASE WHEN ("session_cleanup_session"."is_active") THEN 'expired' ELSE 'missed' END, "updated_at" = run_clock WHERE "session_cleanup_session"."id" = ANY(due_keys::bigint[]);
        GET DIAGNOSTICS met_2 = ROW_COUNT;
      END IF;
      IF its_end_state = 'drained' THEN
        SELECT coalesce(jsonb_object_agg(CASE verdict WHEN '' THEN 'locked' ELSE verdict END, number), '{}')
          FROM (SELECT CASE WHEN EXISTS(SELECT 1 AS "a" FROM "session_cleanup_hold" U0 WHERE ((U0."until" IS NULL OR U0."until" > run_clock) AND U0."model" = 'session_cleanup.Session' AND U0."object_pk" = ("session_cleanup_session"."id")::text) LIMIT 1) THEN 'held' ELSE '' END AS "verdict", COUNT("session_cleanup_session"."id") AS "number" FROM "session_cleanup_session" WHERE ("session_cleanup_session"."ended_at" IS NULL AND "session_cleanup_session"."kind" = 'recurring' AND "session_cleanup_session"."expires_at" < run_clock) GROUP BY 1) AS still_due INTO its_skipped;
        its_end_state := CASE its_skipped WHEN '{}' THEN 'drained' ELSE 'drained_with_skips' END;
      END IF;
      its_changed := 0 + 1 * met_2;
      its_batches := (its_changed > 0 OR its_skipped <> '{}')::integer;
      its_figures := jsonb_strip_nulls(jsonb_build_object(
        'closed', nullif(0 - 1 * met_0 + 1 * met_2, 0),
        'missed', nullif(0 + 1 * met_0, 0)));
    EXCEPTION WHEN OTHERS THEN
      its_end_state := 'failed';
      its_error := 'SQLSTATE ' || SQLSTATE || '; the server''s log says more';
      RAISE WARNING 'auto_close_expired_sessions() failed in run %: % (SQLSTATE %)', its_run, SQLERRM, SQLSTATE;
    END;
    UPDATE "session_cleanup_cleanuplease" SET "expires_at" = STATEMENT_TIMESTAMP() WHERE ("session_cleanup_cleanuplease"."job" = 'recurring-close' AND "session_cleanup_cleanuplease"."token" = (its_token));
  ELSE
    its_error := 'Job ''recurring-close'' is being run by another process. Wait for it.';
    RAISE NOTICE '%', its_error;
  END IF;
  UPDATE "session_cleanup_jobrun" SET "end_state" = (its_end_state), "changed" = (its_changed), "batches" = (its_batches), "figures" = (its_figures), "skipped" = (its_skipped), "error" = (its_error), "seconds" = (extract(epoch FROM clock_timestamp() - statement_timestamp())) WHERE "session_cleanup_jobrun"."id" = (its_record);
  UPDATE "session_cleanup_cleanuprun" SET "status" = (CASE its_end_state WHEN 'drained' THEN 'ok' WHEN 'drained_with_skips' THEN 'ok' WHEN 'capped' THEN 'incomplete' WHEN 'busy' THEN 'busy' WHEN 'failed' THEN 'failed' END), "exit_status" = (CASE its_end_state WHEN 'drained' THEN 0 WHEN 'drained_with_skips' THEN 0 WHEN 'capped' THEN 3 WHEN 'busy' THEN 4 WHEN 'failed' THEN 1 END), "finished_at" = (clock_timestamp()) WHERE "session_cleanup_cleanuprun"."id" = (its_run);
  RETURN CASE WHEN its_end_state IN ('busy', 'failed') THEN NULL ELSE its_changed END;
END;
$function$;

SELECT cron.schedule('session-cleanup presentations-blank', '0 */6 * * *', $$NOTIFY session_cleanup, 'presentations-blank'$$);
SELECT cron.schedule('session-cleanup collaborative-expired', '0 2 * * *', $$NOTIFY session_cleanup, 'collaborative-expired'$$);
SELECT cron.schedule('session-cleanup browser-expired', '0 2 * * *', $$NOTIFY session_cleanup, 'browser-expired'$$);
SELECT cron.schedule('session-cleanup browser-orphaned', '0 2 * * *', $$NOTIFY session_cleanup, 'browser-orphaned'$$);
SELECT cron.schedule('session-cleanup browser-excess', '0 2 * * *', $$NOTIFY session_cleanup, 'browser-excess'$$);
SELECT cron.schedule('session-cleanup browser-invalid', '0 2 * * *', $$NOTIFY session_cleanup, 'browser-invalid'$$);
SELECT cron.schedule('session-cleanup abandoned-carts', '0 2 * * *', $$NOTIFY session_cleanup, 'abandoned-carts'$$);
SELECT cron.schedule('session-cleanup after-hours-close', '0 4 * * *', $$NOTIFY session_cleanup, 'after-hours-close'$$);
SELECT cron.schedule('session-cleanup after-hours-declines', '0 4 * * *', $$NOTIFY session_cleanup, 'after-hours-declines'$$);
SELECT cron.schedule('session-cleanup after-hours-fingerprints', '0 4 * * *', $$NOTIFY session_cleanup, 'after-hours-fingerprints'$$);
SELECT cron.schedule('session-cleanup after-hours-profiles', '0 4 * * *', $$NOTIFY session_cleanup, 'after-hours-profiles'$$);
SELECT cron.schedule('session-cleanup browser-compress', '0 3 * * 0', $$NOTIFY session_cleanup, 'browser-compress'$$);
SELECT cron.schedule('session-cleanup browser-duplicates', '0 3 * * 0', $$NOTIFY session_cleanup, 'browser-duplicates'$$);
SELECT cron.schedule('session-cleanup browser-report', '0 4 1 * *', $$NOTIFY session_cleanup, 'browser-report'$$);
SELECT cron.schedule('session-cleanup recurring-activate', '0 * * * *', format('SELECT %I.activate_scheduled_sessions()', current_schema()));
SELECT cron.schedule('session-cleanup recurring-close', '*/5 * * * *', format('SELECT %I.auto_close_expired_sessions()', current_schema()));
SELECT cron.schedule('session-cleanup recurring-generate', '0 0 * * *', $$NOTIFY session_cleanup, 'recurring-generate'$$);
SELECT cron.schedule('session-cleanup recurring-archive', '30 4 * * *', $$NOTIFY session_cleanup, 'recurring-archive'$$);
SELECT cron.schedule('session-cleanup housekeeping-history', '30 5 * * *', $$NOTIFY session_cleanup, 'housekeeping-history'$$);
SELECT cron.schedule('session-cleanup housekeeping-undo', '30 5 * * *', $$NOTIFY session_cleanup, 'housekeeping-undo'$$);
SELECT cron.schedule('session-cleanup housekeeping-undo-sets', '30 5 * * *', $$NOTIFY session_cleanup, 'housekeeping-undo-sets'$$);
SELECT cron.schedule('session-cleanup housekeeping-reports', '30 5 * * *', $$NOTIFY session_cleanup, 'housekeeping-reports'$$);
SELECT cron.schedule('session-cleanup housekeeping-occurrences', '30 5 * * *', $$NOTIFY session_cleanup, 'housekeeping-occurrences'$$);

SELECT cron.unschedule(jobid) FROM cron.job
 WHERE jobname LIKE 'session-cleanup %' AND username = current_user
   AND jobname NOT IN ('session-cleanup presentations-blank',
                       'session-cleanup collaborative-expired',
                       'session-cleanup browser-expired',
                       'session-cleanup browser-orphaned',
                       'session-cleanup browser-excess',
                       'session-cleanup browser-invalid',
                       'session-cleanup abandoned-carts',
                       'session-cleanup after-hours-close',
                       'session-cleanup after-hours-declines',
                       'session-cleanup after-hours-fingerprints',
                       'session-cleanup after-hours-profiles',
                       'session-cleanup browser-compress',
                       'session-cleanup browser-duplicates',
                       'session-cleanup browser-report',
                       'session-cleanup recurring-activate',
                       'session-cleanup recurring-close',
                       'session-cleanup recurring-generate',
                       'session-cleanup recurring-archive',
                       'session-cleanup housekeeping-history',
                       'session-cleanup housekeeping-undo',
                       'session-cleanup housekeeping-undo-sets',
                       'session-cleanup housekeeping-reports',
                       'session-cleanup housekeeping-occurrences');
COMMIT;
