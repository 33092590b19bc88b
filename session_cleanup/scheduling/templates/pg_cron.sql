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
{% if functions %}--
-- No process is needed for {% for job, cron, name, made in functions %}{% if not forloop.first %} and {% endif %}{{ job }}{% endfor %}: a function in the schema of the tables does the same, takes
-- the same lease, and writes the same history (its trigger is "sql"). The installing role needs CREATE there.
--
--   now         {% for job, cron, name, made in functions %}{% if not forloop.first %}
--               {% endif %}SELECT {{ name }}();{% endfor %}
--   fewer       {% for job, cron, name, made in functions %}{% if forloop.first %}SELECT {{ name }}(most => 1000);{% endif %}{% endfor %}
--               A call is one transaction, and other writers of what it changes wait for its end. When more is
--               due, it ends "capped" and the next call goes on.
--   notify      To leave one to the scheduler after all:{% for job, cron, name, made in functions %}
--               SELECT cron.schedule('session-cleanup {{ job }}', '{{ cron }}', $$NOTIFY session_cleanup, '{{ job }}'$$);{% endfor %}
--
-- A call that fails is undone, written down as failed with its SQLSTATE, and a WARNING in the server's log; pg_cron
-- itself says "succeeded" then, as it does when the job is busy. What is cancelled leaves no trace but in pg_cron.
-- The functions know the policies and settings of the moment when they were rendered; SESSION_CLEANUP_ENABLED
-- does not stop them. Render and install again after an upgrade.
{% endif %}
BEGIN;
{% if functions %}SELECT set_config('search_path', format('%I, pg_temp', nspname), true)
  FROM pg_namespace JOIN pg_class ON relnamespace = pg_namespace.oid
 WHERE pg_class.oid = 'session_cleanup_session'::regclass;

{% for job, cron, name, made in functions %}{{ made }}
{% endfor %}{% endif %}{% for job, cron, name in crons %}SELECT cron.schedule('session-cleanup {{ job }}', '{{ cron }}', {% if name %}format('SELECT %I.{{ name }}()', current_schema()){% else %}$$NOTIFY session_cleanup, '{{ job }}'$${% endif %});
{% endfor %}
SELECT cron.unschedule(jobid) FROM cron.job
 WHERE jobname LIKE 'session-cleanup %' AND username = current_user
   AND jobname NOT IN ({% for job, cron, name in crons %}{% if not forloop.first %},
                       {% endif %}'session-cleanup {{ job }}'{% endfor %});
COMMIT;
