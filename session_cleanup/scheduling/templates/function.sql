-- {{ job }}. It gives how many sessions it changed; NULL when the job is being run by somebody else, or failed.
CREATE OR REPLACE FUNCTION {{ name }}(most integer DEFAULT {{ most }}) RETURNS bigint
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
  its_error text := '';{% for deed, counts in deeds %}
  met_{{ forloop.counter0 }} bigint := 0;{% endfor %}
BEGIN
  IF most IS NULL OR most < 1 THEN
    RAISE EXCEPTION 'most is %. Give the number of sessions that one call may change.', coalesce(most::text, 'NULL');
  END IF;
  {{ begin_run }} RETURNING id INTO its_run;
  {{ begin_job }} RETURNING id INTO its_record;

  IF NOT EXISTS ({{ lease }}) THEN
    {{ make_lease }} ON CONFLICT DO NOTHING;
  END IF;
  PERFORM FROM ({{ lock_lease }}) AS free;
  IF FOUND THEN
    {{ take_lease }};
  END IF;
  IF FOUND THEN
    BEGIN
      due_keys := ARRAY({{ lock }} LIMIT most);
      its_end_state := CASE cardinality(due_keys) WHEN most THEN 'capped' ELSE 'drained' END;
      due_keys := ARRAY({{ judge }});
      IF cardinality(due_keys) > 0 THEN{% for deed, counts in deeds %}
        {{ deed }}{% if counts %} INTO met_{{ forloop.counter0 }};{% else %};
        GET DIAGNOSTICS met_{{ forloop.counter0 }} = ROW_COUNT;{% endif %}{% endfor %}
      END IF;
      IF its_end_state = 'drained' THEN
        SELECT coalesce(jsonb_object_agg(CASE verdict WHEN '' THEN '{{ locked }}' ELSE verdict END, number), '{}')
          FROM ({{ left }}) AS still_due INTO its_skipped;
        its_end_state := CASE its_skipped WHEN '{}' THEN 'drained' ELSE 'drained_with_skips' END;
      END IF;
      its_changed := {{ changed }};
      its_batches := (its_changed > 0 OR its_skipped <> '{}')::integer;
      its_figures := jsonb_strip_nulls(jsonb_build_object({% for figure, sum in figures.items %}
        '{{ figure }}', nullif({{ sum }}, 0){% if not forloop.last %},{% endif %}{% endfor %}));
    EXCEPTION WHEN OTHERS THEN
      its_end_state := 'failed';
      its_error := 'SQLSTATE ' || SQLSTATE || '; the server''s log says more';
      RAISE WARNING '{{ name }}() failed in run %: % (SQLSTATE %)', its_run, SQLERRM, SQLSTATE;
    END;
    {{ release_lease }};
  ELSE
    its_error := 'Job ''{{ job }}'' is being run by another process. Wait for it.';
    RAISE NOTICE '%', its_error;
  END IF;
  {{ end_job }};
  {{ end_run }};
  RETURN CASE WHEN its_end_state IN ('busy', 'failed') THEN NULL ELSE its_changed END;
END;
$function$;
