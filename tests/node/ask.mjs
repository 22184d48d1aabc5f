// Asks as a program of Node does; prints what it got as one JSON object.
import { createClient } from '@clickhouse/client'

const client = createClient({ url: process.env.SQL_URL, username: 'analyst', password: process.env.SQL_KEY })
const refusal = async (ask) => {
  try {
    await ask()
    return 'none'
  } catch (error) {
    return `${error.code} ${error.type}`
  }
}
const got = {}
got.ping = (await client.ping({ select: true })).success
const rows = await client.query({
  query: 'SELECT number, {text:String} AS text, {many:Array(String)} AS many FROM numbers({count:UInt8})',
  query_params: { text: "it's\ta %s", many: ["a'b", 'c'], count: 2 },
  format: 'JSONEachRow',
})
got.rows = await rows.json()
const whole = await client.query({ query: 'SELECT count() AS n FROM events' })
got.whole = (await whole.json()).data
got.streamed = 0
const stream = (await client.query({ query: 'SELECT number FROM numbers(50000)', format: 'JSONCompactEachRow' })).stream()
for await (const batch of stream) got.streamed += batch.length
const settings = { max_execution_time: 5, output_format_json_quote_64bit_integers: 1 }
const quoted = await client.query({ query: 'SELECT toUInt64(7) AS n', format: 'JSONEachRow', clickhouse_settings: settings })
got.quoted = await quoted.json()
got.unknown = await refusal(() => client.query({ query: 'SELECT nothing' }))
got.write = await refusal(() => client.command({ query: 'DROP TABLE events' }))
got.insert = await refusal(() => client.insert({ table: 'events', values: [{ event_id: 'x' }], format: 'JSONEachRow' }))
got.lifted = await refusal(() => client.query({ query: 'SELECT 1', clickhouse_settings: { readonly: '0' } }))
const packing = createClient({
  url: process.env.SQL_URL, username: 'analyst', password: process.env.SQL_KEY, compression: { response: true, request: true },
})
const packed = await packing.query({ query: 'SELECT number FROM numbers(5000)', format: 'JSONCompactEachRow' })
got.packed = (await packed.json()).length
await client.close()
await packing.close()
console.log(JSON.stringify(got))
