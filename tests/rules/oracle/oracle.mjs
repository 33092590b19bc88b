// A rule a line in, as JSON: {start, zone, rule, after, before}; its moments a line out, in milliseconds.
import { createInterface } from "node:readline";
import { RRuleTemporal } from "rrule-temporal";

for await (const line of createInterface({ input: process.stdin })) {
  const { start, zone, rule, after, before } = JSON.parse(line);
  let answer;
  try {
    const rrule = new RRuleTemporal({ rruleString: `DTSTART;TZID=${zone}:${start}\n${rule}` });
    const found = rrule.between(new Date(after), new Date(before), true);
    answer = { moments: found.map((moment) => moment.epochMilliseconds) };
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
