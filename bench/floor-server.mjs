// The practical floor: bare node:http and pg calling the SQL of floor-schema.sql, one process.
import http from 'node:http'
import pg from 'pg'

const pool = new pg.Pool({ connectionString: process.argv[2], max: 16 })
const query = (name, text, values) => pool.query({ name, text, values })
const server = http.createServer(async (request, response) => {
  try {
    const url = new URL(request.url, 'http://x')
    const p = url.searchParams
    let result
    if (url.pathname === '/list')
      result = (
        await query(
          'l',
          'select p.id,slug,name,price,s.on_hand from product p join stock s on s.sku=p.id order by p.id limit 20 offset $1',
          [+p.get('o')],
        )
      ).rows
    else if (url.pathname === '/detail')
      result = (
        await query('d', 'select p.*,s.on_hand from product p join stock s on s.sku=p.id where slug=$1', [p.get('s')])
      ).rows[0]
    else if (url.pathname === '/search')
      result = (
        await query(
          's',
          "select id,slug,name,price from product where tsv @@ plainto_tsquery('english',$1) order by ts_rank(tsv, plainto_tsquery('english',$1)) desc limit 20",
          [p.get('t')],
        )
      ).rows
    else {
      let body = ''
      for await (const part of request) body += part
      const o = JSON.parse(body)
      result = (await query('o', 'select place($1,$2,$3) id', [o.b, o.x, o.y])).rows[0]
    }
    const text = JSON.stringify(result)
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(text)
  } catch (error) {
    response.writeHead(500)
    response.end(error.message)
  }
})
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.once('disconnect', () => process.exit(0))
