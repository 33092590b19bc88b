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
--   now         NOTIFY session_cleanup, '{{ first.0 }}';
--   reschedule  SESSION_CLEANUP_SCHEDULES in the settings, then render and install again. For once:
--               SELECT cron.schedule('session-cleanup {{ first.0 }}', '{{ first.1 }}', $$NOTIFY session_cleanup, '{{ first.0 }}'$$);
--   unschedule  SELECT cron.unschedule('session-cleanup {{ first.0 }}');
--   time zone   pg_cron counts in UTC unless cron.timezone says otherwise: SHOW cron.timezone;
--
-- Where pg_cron lives in another database than the application, a notification does not reach it: there say
-- cron.schedule_in_database(…, '<the application''s database>') instead of cron.schedule(…).
-- A notification is heard by connections that listen, not through a pooler that shares them by transaction.

BEGIN;
{% for job, cron in crons %}SELECT cron.schedule('session-cleanup {{ job }}', '{{ cron }}', $$NOTIFY session_cleanup, '{{ job }}'$$);
{% endfor %}
SELECT cron.unschedule(jobid) FROM cron.job
 WHERE jobname LIKE 'session-cleanup %' AND username = current_user
   AND jobname NOT IN ({% for job, cron in crons %}{% if not forloop.first %},
                       {% endif %}'session-cleanup {{ job }}'{% endfor %});
COMMIT;
