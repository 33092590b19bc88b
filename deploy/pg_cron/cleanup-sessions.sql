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

BEGIN;
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
SELECT cron.schedule('session-cleanup housekeeping-history', '30 5 * * *', $$NOTIFY session_cleanup, 'housekeeping-history'$$);
SELECT cron.schedule('session-cleanup housekeeping-undo', '30 5 * * *', $$NOTIFY session_cleanup, 'housekeeping-undo'$$);
SELECT cron.schedule('session-cleanup housekeeping-undo-sets', '30 5 * * *', $$NOTIFY session_cleanup, 'housekeeping-undo-sets'$$);
SELECT cron.schedule('session-cleanup housekeeping-reports', '30 5 * * *', $$NOTIFY session_cleanup, 'housekeeping-reports'$$);

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
                       'session-cleanup housekeeping-history',
                       'session-cleanup housekeeping-undo',
                       'session-cleanup housekeeping-undo-sets',
                       'session-cleanup housekeeping-reports');
COMMIT;
