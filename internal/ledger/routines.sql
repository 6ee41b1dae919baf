-- What PostgreSQL does with the rights of the owner. It runs after each migration.

CREATE OR REPLACE FUNCTION ledger_append(a_token text, a_serial text, a_person bigint, a_data text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    last     public.event%ROWTYPE;
    a_number bigint;
    a_at     bigint;
    a_hash   text;
BEGIN
    PERFORM pg_advisory_xact_lock(1667452005);
    SELECT * INTO last FROM public.event ORDER BY number DESC LIMIT 1;
    a_number := coalesce(last.number, 0) + 1;
    a_at := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    a_hash := upper(encode(sha256(convert_to(concat_ws(E'\n', coalesce(last.hash, ''), a_number, a_at, a_token, a_serial, a_person, a_data), 'UTF8')), 'hex'));
    INSERT INTO public.event (number, at, token, serial, person, data, previous, hash)
    VALUES (a_number, a_at, a_token, a_serial, a_person, a_data, coalesce(last.hash, ''), a_hash);
    RETURN a_number;
END $$;
REVOKE ALL ON FUNCTION ledger_append(text, text, bigint, text) FROM PUBLIC;

-- ledger_station lets a role do what a station does: read all, add to the log, and keep
-- the tables beside the log. The log itself it may not write, and nothing may it delete.
CREATE OR REPLACE FUNCTION ledger_station(station name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM %I', station);
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', station);
    EXECUTE format('GRANT SELECT ON public.about, public.event, public.signature, public.ledger_version TO %I', station);
    EXECUTE format('GRANT INSERT ON public.signature TO %I', station);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON public.person, public.card, public.credential, public.secret, public.job TO %I', station);
    EXECUTE format('GRANT EXECUTE ON FUNCTION public.ledger_append(text, text, bigint, text) TO %I', station);
END $$;
REVOKE ALL ON FUNCTION ledger_station(name) FROM PUBLIC;
